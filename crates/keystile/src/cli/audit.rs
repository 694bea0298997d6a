//! `keystile audit`.

use keystile_core::audit::AuditEvent;
use keystile_engine::audit::{EventFilter, ListEvents, VerifyAudit};

use super::arguments::{AuditCommand, CommonArguments, Form, ListEventsArguments};
use super::render;
use super::session::{Session, Stop};

/// How many events one command asks for.
const PAGE: u32 = 1000;
const LISTED_IN_TEXT: u32 = 100;
const LISTED_IN_JSON: u32 = 1000;

pub(super) fn dispatch(command: &AuditCommand, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    match command {
        AuditCommand::List(arguments) => list(arguments, session),
        AuditCommand::Verify(common) => verify(common, session),
    }
}

fn list(arguments: &ListEventsArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let form = arguments.common.form();
    let limit = match (arguments.limit, form) {
        (Some(limit), _) => limit,
        (None, Form::Text) => LISTED_IN_TEXT,
        (None, Form::Json) => LISTED_IN_JSON,
    };
    let mut events = collect(arguments, limit as usize, session)?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    if form == Form::Json {
        session.terminal.print_json(&events)?;
    } else if events.is_empty() {
        session.terminal.say("No event matches. See the latest: keystile audit list")?;
    } else {
        let table = render::events(&events, &session.terminal.screen);
        session.terminal.stdout.write_all(table.as_bytes())?;
    }
    // Who asked for so many knows that there may be more.
    if let (true, None, Some(last)) = (more, arguments.limit, events.last()) {
        session
            .terminal
            .say(&format!("There are more: keystile audit list --before {}", last.id))?;
    }
    Ok(())
}

/// As many events as there are, one more than the limit at most.
fn collect(
    arguments: &ListEventsArguments,
    limit: usize,
    session: &mut Session<'_, '_>,
) -> Result<Vec<AuditEvent>, Stop> {
    let mut filter = EventFilter {
        kind: arguments.kind.clone(),
        actor: arguments.actor.clone(),
        key: arguments.key.clone(),
        application: arguments.application.clone(),
        subject: arguments.subject.clone(),
        before: arguments.before,
        after: arguments.after,
        limit: 0,
    };
    let mut events: Vec<AuditEvent> = Vec::new();
    while events.len() <= limit {
        let missing = u32::try_from(limit + 1 - events.len()).unwrap_or(u32::MAX);
        filter.limit = PAGE.min(missing);
        let more = session.execute(ListEvents { filter: filter.clone() })?;
        let Some(last) = more.last() else {
            break;
        };
        filter.before = Some(last.id);
        events.extend(more);
    }
    Ok(events)
}

fn verify(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let report = session.execute(VerifyAudit)?;
    match common.form() {
        Form::Json => session.terminal.print_json(&report)?,
        Form::Text => {
            let page = render::audit(&report, &session.terminal.screen);
            session.terminal.stdout.write_all(page.as_bytes())?;
        }
    }
    match (&report.fault, common.form()) {
        (None, Form::Json) => Ok(()),
        (Some(_), Form::Json) => Err(Stop::Reported),
        (None, Form::Text) => Ok(session
            .terminal
            .say("Nothing was changed, taken out, put in or cut off since it was written.")?),
        (Some(fault), Form::Text) => Err(Stop::failed(
            format!("the audit is not what was written: {}", fault.problem),
            "keep a copy of the data directory as it is, and compare it with a backup",
        )),
    }
}
