//! `keystile threescale drift` and `take`: where 3scale and Keystile differ, and deciding it.

use std::fmt::Write as _;

use keystile_core::text::printable;
use keystile_engine::keys::difference::Difference;
use keystile_engine::keys::source::KeySourceView;
use keystile_engine::keys::source_command::{ListKeySources, TakeSide};
use serde::Serialize;

use super::arguments::{Form, TakeArguments, ThreescaleArguments};
use super::session::{Session, Stop};

/// What differs from a source, for programs.
#[derive(Debug, Serialize)]
struct SourceDrift {
    source: String,
    differences: Vec<Difference>,
    more_differences: u64,
}

/// The name of an account's key source.
pub(super) fn source_of(account: &str) -> String {
    format!("3scale {account}")
}

pub(super) fn drift(
    arguments: &ThreescaleArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let wanted = arguments.account.as_deref().map(source_of);
    let mut sources = session.execute(ListKeySources)?;
    sources.retain(|source| wanted.as_ref().is_none_or(|wanted| *wanted == source.source));
    if arguments.common.form() == Form::Json {
        let drift = |shown: KeySourceView| {
            let KeySourceView { source, differences, more_differences, .. } = shown;
            SourceDrift { source, differences, more_differences }
        };
        let all: Vec<_> = sources.into_iter().map(drift).collect();
        return Ok(session.terminal.print_json(&all)?);
    }
    if sources.is_empty() {
        let said = "No such account of 3scale is in the configuration: keystile threescale status";
        return Ok(session.terminal.say(said)?);
    }
    for source in &sources {
        let page: String = source.differences.iter().map(block).collect();
        session.terminal.stdout.write_all(page.as_bytes())?;
        session.terminal.say(&summary(source))?;
    }
    Ok(())
}

fn summary(source: &KeySourceView) -> String {
    let count = source.differences.len();
    let name = printable(&source.source);
    let when = match source.synchronized {
        Some(time) => format!(", as of {}", time.readable()),
        None => ": it was not read yet".to_owned(),
    };
    let more = match source.more_differences {
        0 => String::new(),
        more => format!(", and {more} more that are not listed"),
    };
    match count {
        0 => format!("{name}: nothing differs{when}."),
        1 => format!("{name}: 1 difference{more}{when}."),
        _ => format!("{name}: {count} differences{more}{when}."),
    }
}

fn block(difference: &Difference) -> String {
    let Difference { id, application, about, there, here, sides, advice, .. } = difference;
    let mut text = format!(
        "{id}\n  {}: {about}\n  there  {}\n  here   {}\n",
        printable(application),
        printable(there),
        printable(here)
    );
    for takeable in sides {
        let _ = writeln!(text, "  take {}: {}", takeable.side, printable(&takeable.does));
    }
    if let Some(advice) = advice {
        let _ = writeln!(text, "  {}", printable(advice));
    }
    text
}

pub(super) fn take(arguments: &TakeArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let TakeArguments { account, difference, side, consent, common } = arguments;
    let source = source_of(account);
    let sources = session.execute(ListKeySources)?;
    let shown = sources.iter().find(|shown| shown.source == source);
    let takeable = shown.and_then(|shown| shown.takeable(difference, *side));
    if let Some((shown, takeable)) = takeable.filter(|(_, takeable)| takeable.is_final()) {
        session.ask(*consent, |_| {
            let (name, does) = (printable(&shown.application), printable(&takeable.does));
            Ok(format!("{name}: {does}?"))
        })?;
    }
    let (difference, side) = (difference.clone(), *side);
    let done = session.execute(TakeSide { source, difference, side })?;
    session.say_done(common.form(), &done.0)
}
