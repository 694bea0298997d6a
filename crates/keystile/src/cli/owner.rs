//! `keystile owner`.

use keystile_core::time::Timestamp;
use keystile_engine::owners::claim::{ClaimLink, MakeClaimLink};
use keystile_engine::owners::owner::{ListOwners, RemoveOwner};

use super::arguments::{CommonArguments, Form, OwnerCommand, RemoveOwnerArguments};
use super::render;
use super::session::{Session, Stop};
use super::when::relative;
use keystile_core::text::printable;

pub(super) fn dispatch(command: &OwnerCommand, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    match command {
        OwnerCommand::Link(common) => link(common, session),
        OwnerCommand::List(common) => list(common, session),
        OwnerCommand::Remove(arguments) => remove(arguments, session),
    }
}

fn link(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let link = session.execute(MakeClaimLink)?;
    if common.form() == Form::Json {
        return Ok(session.terminal.print_json(&link)?);
    }
    writeln!(session.terminal.stdout, "{}", link.url)?;
    let text = link_text(&link, session.terminal.screen.now);
    Ok(session.terminal.say(&text)?)
}

fn link_text(link: &ClaimLink, now: Timestamp) -> String {
    let ends = relative(link.expires, now);
    let text = format!("Whoever opens it becomes an owner. It works once, and ends {ends}.");
    if link.running {
        text
    } else {
        format!("{text}\nNo server is running to open it on: keystile run")
    }
}

fn list(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let owners = session.execute(ListOwners)?;
    if common.form() == Form::Json {
        session.terminal.print_json(&owners)?;
    } else if owners.is_empty() {
        session.terminal.say("No owner yet. Make a link for one: keystile owner link")?;
    } else {
        let table = render::owners(&owners, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    Ok(())
}

fn remove(arguments: &RemoveOwnerArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let owner = &arguments.owner;
    session.ask(arguments.consent, |_| {
        Ok(format!("Owner {} can no longer sign in. Remove them?", printable(owner)))
    })?;
    let removed = session.execute(RemoveOwner { owner: owner.clone() })?;
    let sentence = format!(
        "Removed {}: their sessions have ended. Tokens that they made go on.",
        removed.name
    );
    session.say_done(arguments.common.form(), &sentence)
}
