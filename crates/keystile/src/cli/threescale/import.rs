//! `keystile threescale import` and `export`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use keystile_core::text::printable;
use keystile_engine::command::FailureKind;
use keystile_engine::keys::account::{AccountPart, PartReport};
use keystile_engine::keys::account_command::TakeOverAccount;
use keystile_engine::keys::source::SyncMode;
use keystile_threescale::import::convert::Import;
use keystile_threescale::import::policy;
use keystile_threescale::import::snapshot::Snapshot;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::super::arguments::{ExportAccountArguments, Form, ImportArguments};
use super::super::session::{Session, Stop};
use super::source;

/// What came of an import.
#[derive(Debug, Serialize)]
struct Report {
    mode: SyncMode,
    services: u64,
    applications: u64,
    added: u64,
    changed: u64,
    unchanged: u64,
    changes: Vec<String>,
    problems: Vec<String>,
    no_counterpart: Vec<String>,
}

pub(super) fn import(
    arguments: &ImportArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let snapshot = match &arguments.file {
        Some(file) => source::from_file(file, &arguments.portal.service)?,
        None => source::from_portal(&arguments.portal, &arguments.common, session.terminal.screen)?,
    };
    let import = Import::of(&snapshot);
    if let Some(path) = &arguments.policy {
        write_policy(path, &snapshot)?;
    }
    let mode = if arguments.dry_run { SyncMode::DryRun } else { SyncMode::Apply };
    let report = take_over(import, mode, session)?;
    match arguments.common.form() {
        Form::Json => Ok(session.terminal.print_json(&report)?),
        Form::Text => print(&report, session),
    }
}

/// Hands all parts over. Where one of them fails, those before it are kept: the same command goes on.
fn take_over(
    import: Import,
    mode: SyncMode,
    session: &mut Session<'_, '_>,
) -> Result<Report, Stop> {
    let Import { parts, services, applications, problems, lost } = import;
    let mut report = Report {
        mode,
        services,
        applications,
        added: 0,
        changed: 0,
        unchanged: 0,
        changes: Vec::new(),
        problems,
        no_counterpart: lost,
    };
    let template = "{bar:9} {human_pos} of {human_len} parts, {eta} to go";
    let bar = source::bar(session.terminal.screen, template);
    bar.set_length(u64::try_from(parts.len()).unwrap_or(u64::MAX));
    for part in parts {
        let part = AccountPart(serde_json::to_value(part).map_err(io::Error::other)?);
        let taken = session.execute(TakeOverAccount { part, mode });
        if taken.is_err() {
            bar.finish_and_clear();
        }
        report.add(taken.map_err(with_help)?);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(report)
}

/// Where nothing takes an account over, what to set up for it.
fn with_help(stop: Stop) -> Stop {
    match stop {
        Stop::Failed(failure) if failure.kind == FailureKind::Missing => Stop::failed(
            failure.message,
            "set up [threescale_backend] in the configuration, and run the server with it",
        ),
        other => other,
    }
}

impl Report {
    fn add(&mut self, taken: PartReport) {
        self.added = self.added.saturating_add(taken.added);
        self.changed = self.changed.saturating_add(taken.changed);
        self.unchanged = self.unchanged.saturating_add(taken.unchanged);
        self.changes.extend(taken.changes);
        self.problems.extend(taken.problems);
    }
}

fn print(report: &Report, session: &mut Session<'_, '_>) -> Result<(), Stop> {
    let mut text = String::new();
    for sentence in report.changes.iter().chain(&report.problems) {
        let _ = writeln!(text, "{}", printable(sentence));
    }
    let _ = writeln!(text, "\nWithout a counterpart here:");
    for sentence in &report.no_counterpart {
        let _ = writeln!(text, "  {}", printable(sentence));
    }
    session.terminal.stdout.write_all(text.as_bytes())?;
    let Report { services, applications, added, unchanged, problems, .. } = report;
    let (new, other) = match report.mode {
        SyncMode::Apply => ("new applications", "changes made"),
        SyncMode::DryRun => ("applications that would be new", "changes to make"),
    };
    let said = format!(
        "{services} services and {applications} applications there; {new}: {added}, {other}: {}, as before: \
         {unchanged}, problems: {}.",
        report.changed,
        problems.len()
    );
    Ok(session.terminal.say(&said)?)
}

/// Writes a file that is new: an owner's configuration is never replaced.
fn write_policy(path: &Path, snapshot: &Snapshot) -> Result<(), Stop> {
    let text = policy::policy(snapshot);
    // A dry run wrote it, and the import after it has nothing to add.
    if std::fs::read(path).is_ok_and(|there| there == text.as_bytes()) {
        return Ok(());
    }
    let written = File::options()
        .write(true)
        .create_new(true)
        .open(path)
        .and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| cannot_write(path, &error))
}

fn cannot_write(path: &Path, error: &io::Error) -> Stop {
    let path = printable(&path.to_string_lossy()).into_owned();
    let help = match error.kind() {
        io::ErrorKind::AlreadyExists => "name a file that is not there yet",
        _ => "look at the directory's permissions and free space",
    };
    Stop::failed(format!("{path} cannot be written: {error}"), help)
}

pub(super) fn export(
    arguments: &ExportAccountArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let snapshot =
        source::from_portal(&arguments.portal, &arguments.common, session.terminal.screen)?;
    let mut text = serde_json::to_vec(&snapshot).map_err(io::Error::other)?;
    text.push(b'\n');
    let Some(path) = &arguments.output else {
        return Ok(session.terminal.stdout.write_all(&text)?);
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.map_or_else(|| PathBuf::from("."), Path::to_path_buf);
    // Only this user can read a temporary file, and it keeps that under its name.
    let written = NamedTempFile::new_in(folder).and_then(|mut file| {
        file.write_all(&text)?;
        file.as_file().sync_all()?;
        file.persist_noclobber(path).map_err(|error| error.error)
    });
    written.map_err(|error| cannot_write(path, &error))?;
    let (services, applications) = (snapshot.services.len(), snapshot.applications.len());
    let path = printable(&path.to_string_lossy()).into_owned();
    Ok(session.terminal.say(&format!(
        "{services} services and {applications} applications are in {path}, with their keys: keep it from others."
    ))?)
}
