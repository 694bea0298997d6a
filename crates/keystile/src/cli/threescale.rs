//! `keystile threescale`.

mod import;
mod source;

use std::fmt::Write as _;

use keystile_core::text::printable;
use keystile_core::time::Timestamp;
use keystile_engine::findings::FindingLevel;
use keystile_engine::keys::source::{
    Deletions, HintView, KeySourceView, SyncMode, SyncReport, SyncWanted, UsageStanding,
};
use keystile_engine::keys::source_command::{CheckKeySources, ListKeySources, SyncKeySources};

use super::arguments::{
    CommonArguments, Form, SyncArguments, ThreescaleArguments, ThreescaleCommand,
};
use super::drift;
use super::render;
use super::session::{Session, Stop};
use super::when::relative;

pub(super) fn dispatch(
    command: &ThreescaleCommand,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    match command {
        ThreescaleCommand::Sync(arguments) => sync(arguments, session),
        ThreescaleCommand::Check(arguments) => check(arguments, session),
        ThreescaleCommand::Status(common) => status(common, session),
        ThreescaleCommand::Drift(arguments) => drift::drift(arguments, session),
        ThreescaleCommand::Take(arguments) => drift::take(arguments, session),
        ThreescaleCommand::Import(arguments) => import::import(arguments, session),
        ThreescaleCommand::Export(arguments) => import::export(arguments, session),
    }
}

/// The name of an account's key source.
fn source(arguments: &ThreescaleArguments) -> Option<String> {
    arguments.account.as_deref().map(drift::source_of)
}

fn sync(arguments: &SyncArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let wanted = SyncWanted {
        mode: if arguments.dry_run { SyncMode::DryRun } else { SyncMode::Apply },
        deletions: if arguments.confirm_deletions {
            Deletions::Confirmed
        } else {
            Deletions::Guarded
        },
    };
    let source = source(&arguments.account);
    let reports = session.execute(SyncKeySources { source, wanted })?;
    if arguments.account.common.form() == Form::Json {
        return Ok(session.terminal.print_json(&reports)?);
    }
    for report in &reports {
        let mut text = String::new();
        for sentence in report.changes.iter().chain(&report.problems) {
            let _ = writeln!(text, "{}", printable(sentence));
        }
        session.terminal.stdout.write_all(text.as_bytes())?;
        session.terminal.say(&summary(report))?;
    }
    Ok(())
}

fn summary(report: &SyncReport) -> String {
    let SyncReport { source, applications, unchanged, changed, left, .. } = report;
    let changed = match report.mode {
        SyncMode::Apply => format!("changes made: {changed}"),
        SyncMode::DryRun => format!("changes to make: {changed}"),
    };
    format!(
        "{source}: {applications} applications there; unchanged: {unchanged}, {changed}, left there: {left}."
    )
}

fn check(arguments: &ThreescaleArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let findings = session.execute(CheckKeySources { source: source(arguments) })?;
    match arguments.common.form() {
        Form::Json => session.terminal.print_json(&findings)?,
        Form::Text => {
            let table = render::findings(&findings, &session.terminal.screen);
            session.terminal.stdout.write_all(table.as_bytes())?;
        }
    }
    let is_problem = findings.iter().any(|finding| finding.level == FindingLevel::Problem);
    if is_problem { Err(Stop::Reported) } else { Ok(()) }
}

fn status(common: &CommonArguments, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let sources = session.execute(ListKeySources)?;
    if common.form() == Form::Json {
        return Ok(session.terminal.print_json(&sources)?);
    }
    if sources.is_empty() {
        let said = "No account of 3scale. Write one into the configuration: [threescale.main]";
        return Ok(session.terminal.say(said)?);
    }
    let now = session.terminal.screen.now;
    let text: String = sources.iter().map(|source| page(source, now)).collect();
    Ok(session.terminal.stdout.write_all(text.as_bytes())?)
}

fn page(source: &KeySourceView, now: Timestamp) -> String {
    let read = source.synchronized.map_or_else(|| "never".to_owned(), |time| relative(time, now));
    let mut text = format!(
        "{} at {}\n  Applications  {}\n  Last read     {read}\n",
        printable(&source.source),
        printable(&source.place),
        source.applications
    );
    if let Some(next) = source.next {
        let _ = writeln!(text, "  Next reading  {}", relative(next, now));
    }
    if let Some(problem) = &source.problem {
        let _ = writeln!(text, "  Problem       {}", printable(problem));
    }
    if let Some(since) = source.failing_since {
        let _ = writeln!(text, "  Since         {}", relative(since, now));
    }
    if let Some(until) = source.keys_work_until {
        let _ = writeln!(text, "  Its keys work {}", relative(until, now));
    }
    let differences = source.difference_count();
    if differences > 0 {
        let _ = writeln!(text, "  Differences   {differences}: keystile threescale drift");
    }
    if let Some(hints) = &source.hints {
        let HintView { address, secret, problem, last } = hints;
        let last = last.map_or_else(
            || "none came yet".to_owned(),
            |time| format!("the last came {}", relative(time, now)),
        );
        let _ = writeln!(text, "  Webhooks      {}SECRET; {last}", printable(address));
        let _ = writeln!(text, "                SECRET is what {} holds", printable(secret));
        if let Some(problem) = problem {
            let _ = writeln!(text, "  Problem       {}", printable(problem));
        }
    }
    for lock in &source.locks {
        let _ = write!(text, "  Lock          {}: ", printable(&lock.application));
        let _ = write!(text, "{}, {}", printable(&lock.state), relative(lock.since, now));
        let next = lock.next.map(|next| format!("; tried again {}", relative(next, now)));
        let _ = writeln!(text, "{}", next.unwrap_or_default());
    }
    if let Some(usage) = &source.usage {
        text += &usage_lines(usage, now);
    }
    text
}

fn usage_lines(usage: &UsageStanding, now: Timestamp) -> String {
    let last = usage.last.map_or_else(|| "never".to_owned(), |time| relative(time, now));
    let mut text = format!(
        "  Usage         calls reported: {}, waiting: {}; last report {last}\n",
        usage.reported, usage.waiting
    );
    if let Some(problem) = &usage.problem {
        let _ = writeln!(text, "  Last problem  {}", printable(problem));
    }
    for missing in &usage.missing {
        let _ = writeln!(
            text,
            "  Missing       {}: {} calls may count there or not, {} do not, since {}",
            printable(&missing.name),
            missing.uncertain,
            missing.unreported,
            missing.since.readable()
        );
    }
    text
}
