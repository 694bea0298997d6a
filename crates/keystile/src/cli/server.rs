//! `keystile status`, `reload`, `backup` and `doctor`.

use keystile_engine::backup::BackUp;
use keystile_engine::command::Done;
use keystile_engine::findings::{Diagnose, FindingLevel};
use keystile_engine::reload::Reload;
use keystile_engine::status::ShowStatus;

use super::arguments::{BackupArguments, CommonArguments, Form};
use super::render;
use super::session::{Session, Stop};

pub(super) fn reload(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let Done(done) = session.execute(Reload)?;
    session.say_done(arguments.form(), &done)
}

pub(super) fn status(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let status = session.execute(ShowStatus)?;
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
    let Done(done) = session.execute(BackUp { to })?;
    session.say_done(arguments.common.form(), &done)
}

pub(super) fn diagnose(
    arguments: &CommonArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let findings = session.execute(Diagnose)?;
    match arguments.form() {
        Form::Json => session.terminal.print_json(&findings)?,
        Form::Text => {
            let table = render::findings(&findings, &session.terminal.screen);
            session.terminal.stdout.write_all(table.as_bytes())?;
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(FindingLevel::Problem), count(FindingLevel::Warning));
    if arguments.form() == Form::Text {
        session.terminal.say(&summary(problems, warnings))?;
    }
    if problems == 0 { Ok(()) } else { Err(Stop::Reported) }
}

fn summary(problems: usize, warnings: usize) -> String {
    let counted = |count, one: &str| match count {
        1 => format!("1 {one}"),
        count => format!("{count} {one}s"),
    };
    let was = |count| if count == 1 { "was" } else { "were" };
    let (some, more) = (counted(problems, "problem"), counted(warnings, "warning"));
    match (problems, warnings) {
        (0, 0) => "No problem was found.".to_owned(),
        (0, _) => format!("{more} {} found, and no problem.", was(warnings)),
        (_, 0) => format!("{some} {} found.", was(problems)),
        (_, _) => format!("{some} and {more} were found."),
    }
}

#[cfg(test)]
mod tests {
    use super::summary;

    #[test]
    fn the_last_line_counts_warnings_too() {
        for (found, said) in [
            ((0, 0), "No problem was found."),
            ((0, 1), "1 warning was found, and no problem."),
            ((0, 3), "3 warnings were found, and no problem."),
            ((1, 0), "1 problem was found."),
            ((2, 1), "2 problems and 1 warning were found."),
        ] {
            assert_eq!(summary(found.0, found.1), said);
        }
    }
}
