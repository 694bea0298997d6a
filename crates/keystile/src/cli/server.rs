//! `keystile status`, `reload`, `backup` and `doctor`.

use keystile_engine::command::{Answer, Command, FindingLevel};

use super::arguments::{BackupArguments, CommonArguments, Form};
use super::render;
use super::session::{Session, Stop};

pub(super) fn reload(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    session.ask_done(Command::Reload, arguments.form(), "The configuration was read again.")
}

pub(super) fn status(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let Answer::Status(status) = session.ask(Command::Status)? else {
        return Err(Stop::unexpected());
    };
    match arguments.form() {
        Form::Json => session.terminal.print_json(&status)?,
        Form::Text => {
            let page = render::status(&status, &session.terminal.screen);
            session.terminal.stdout.write_all(page.as_bytes())?;
        }
    }
    Ok(())
}

pub(super) fn back_up(
    arguments: &BackupArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    // The server runs in another directory than its owner stands in.
    let to = std::path::absolute(&arguments.file).map_err(|error| {
        let message = format!("{} is not a path: {error}", arguments.file.display());
        Stop::failed(message, "name a file")
    })?;
    if to.symlink_metadata().is_ok() {
        let message = format!("{} exists, and a backup overwrites nothing", to.display());
        return Err(Stop::failed(message, "choose another name"));
    }
    let done = format!("The store is copied to {}, and the copy is verified.", to.display());
    session.ask_done(Command::Backup { to }, arguments.common.form(), &done)
}

pub(super) fn diagnose(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let Answer::Diagnosis(findings) = session.ask(Command::Diagnose)? else {
        return Err(Stop::unexpected());
    };
    match arguments.form() {
        Form::Json => session.terminal.print_json(&findings)?,
        Form::Text => {
            let table = render::findings(&findings, &session.terminal.screen);
            session.terminal.stdout.write_all(table.as_bytes())?;
        }
    }
    let problems = findings.iter().filter(|finding| finding.level == FindingLevel::Problem).count();
    match (problems, arguments.form()) {
        (0, Form::Text) => Ok(session.terminal.say("No problem was found.")?),
        (0, Form::Json) => Ok(()),
        (_, Form::Json) => Err(Stop::Reported),
        (1, Form::Text) => {
            session.terminal.say("1 problem was found.")?;
            Err(Stop::Reported)
        }
        (_, Form::Text) => {
            session.terminal.say(&format!("{problems} problems were found."))?;
            Err(Stop::Reported)
        }
    }
}
