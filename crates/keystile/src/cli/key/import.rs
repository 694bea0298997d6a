//! `keystile key import`.

use std::fs::File;
use std::io::{self, BufRead, Read as _};
use std::path::Path;

use keystile_core::keys::imported::{ImportedText, InvalidImportedText};
use keystile_engine::keys::import::ImportKey;

use super::super::arguments::{Form, ImportKeyArguments};
use super::super::session::{Medium, Session, Stop, Terminal};
use keystile_core::text::printable;

/// More than any key and its line end has; what is longer is no key.
const READ_BYTES_MAX: u64 = 4096;

pub(super) fn import(
    arguments: &ImportKeyArguments,
    session: &mut Session<'_, '_>,
) -> Result<(), Stop> {
    let read = match &arguments.file {
        Some(file) => from_file(file)?,
        None => from_input(session.terminal)?,
    };
    let text = parse(&read)?;
    let command = ImportKey {
        application: arguments.application.clone(),
        plan: arguments.plan.clone(),
        text,
        origin: arguments.origin.clone(),
        name: arguments.name.clone(),
    };
    let imported = session.execute(command)?;
    match arguments.common.form() {
        Form::Text => session.terminal.say(&imported.done)?,
        Form::Json => session.terminal.print_json(&imported.now)?,
    }
    Ok(())
}

/// A key stands alone on its line; blanks and line ends around it are not of it.
fn parse(read: &[u8]) -> Result<ImportedText, Stop> {
    let text = String::from_utf8_lossy(read);
    let text = text.trim();
    if text.is_empty() {
        return Err(Stop::failed("there is no key to take over", HOW));
    }
    if text.lines().nth(1).is_some() {
        return Err(Stop::failed("more than one line was read", "give one key at a time"));
    }
    text.parse().map_err(|error: InvalidImportedText| {
        let help = match error {
            InvalidImportedText::OwnForm => "issue a key: keystile key create",
            InvalidImportedText::Length(_) | InvalidImportedText::Character { .. } => HOW,
        };
        Stop::failed(error.to_string(), help)
    })
}

const HOW: &str = "write the key alone to a file, and name that with --file, or to standard input";

fn from_file(path: &Path) -> Result<Vec<u8>, Stop> {
    let read = File::open(path).and_then(|file| read_some(&mut io::BufReader::new(file)));
    read.map_err(|error| {
        let path = printable(&path.to_string_lossy()).into_owned();
        Stop::failed(
            format!("{path} cannot be read: {error}"),
            "check the path and its permissions",
        )
    })
}

/// From a person one line, from a program all that it says.
fn from_input(terminal: &mut Terminal<'_>) -> Result<Vec<u8>, Stop> {
    if terminal.screen.stdin == Medium::Terminal {
        terminal.say("Paste the key, then press Enter:")?;
        let mut line = Vec::new();
        terminal.stdin.take(READ_BYTES_MAX).read_until(b'\n', &mut line)?;
        return Ok(line);
    }
    Ok(read_some(&mut terminal.stdin)?)
}

fn read_some(from: &mut dyn BufRead) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    from.take(READ_BYTES_MAX).read_to_end(&mut read)?;
    Ok(read)
}
