//! The configuration: a TOML file in, parsed and checked settings out, or all that is wrong with
//! it.
//!
//! # How
//!
//! A text becomes a table that knows where each key and value stands (`read`). serde turns it into
//! `raw` structs that mirror the file; `resolve` parses their values and holds them against each
//! other. All steps go on after a mistake, so that one run of `keystile check` shows every one of
//! them. `explain` and `suggest` say it in words, `schema` tells the same form to editors and to
//! the reference.
//!
//! # Not here
//!
//! Nothing is bound, created or connected to. Of the outside world only the TLS files are looked
//! at, and the time zone database.

mod addresses;
mod diagnostic;
mod explain;
mod path;
mod quick;
mod raw;
mod read;
mod reference;
mod resolve;
mod resolved;
mod schema;
mod suggest;
mod unclosed;
mod value;

use std::path::{Path, PathBuf};

pub use addresses::Addresses;
pub use diagnostic::{Colors, Diagnostic, Report, Severity, summary};
pub use quick::for_upstream;
pub use reference::reference;
pub use resolved::{Configuration, ConsoleSettings, JournalSettings};
pub use schema::schema;

use diagnostic::Source;

/// What `keystile init` writes: a commented file that works as it stands.
pub const INITIAL_FILE: &str = include_str!("initial.toml");

/// The console's port where nobody chose another.
pub(crate) const CONSOLE_PORT: u16 = 7080;

/// A larger file is something else; reading it again for each mistake would take long.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Reads a configuration file. Relative paths in it start at its folder.
pub fn load(path: &Path) -> Result<Configuration, Report> {
    load_with(path, &Addresses::default())
}

/// Reads a configuration file in which the command line replaces addresses.
pub fn load_with(path: &Path, addresses: &Addresses) -> Result<Configuration, Report> {
    let name = path.display().to_string();
    let bytes = std::fs::read(path).map_err(|error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let message = if is_missing {
            "there is no such file".to_owned()
        } else {
            format!("it cannot be read: {error}")
        };
        Report::of_file(
            &name,
            message,
            "`keystile init` writes a commented configuration, `--config FILE` names another one",
        )
    })?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = String::from_utf8_lossy(good).matches('\n').count() + 1;
        Report::of_file(&name, format!("line {line} is not UTF-8 text"), "save the file in UTF-8")
    })?;
    from_text_with(&text, &name, path.parent().unwrap_or(Path::new("")), addresses)
}

/// The data directory that a file names, whatever is wrong with the rest of it.
pub fn data_of(path: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(path).ok()?;
    if text.len() > FILE_BYTES_MAX {
        return None;
    }
    let reading = read::read(&Source::new(&path.display().to_string(), &text));
    // It may have been written where the file cannot be read.
    let is_lost = reading.is_broken || reading.lost.iter().any(|lost| lost.is_at("data"));
    let data = match reading.file?.data {
        Some(data) => data.value,
        None if is_lost => return None,
        None => resolve::DATA.to_owned(),
    };
    Some(path.parent().unwrap_or(Path::new("")).join(data))
}

/// Reads a configuration from a text; `file_name` is for messages, relative paths start at `base`.
pub fn from_text(text: &str, file_name: &str, base: &Path) -> Result<Configuration, Report> {
    from_text_with(text, file_name, base, &Addresses::default())
}

fn from_text_with(
    text: &str,
    file_name: &str,
    base: &Path,
    addresses: &Addresses,
) -> Result<Configuration, Report> {
    if text.len() > FILE_BYTES_MAX {
        let message = "it has more than 1 MiB, so it is no configuration".to_owned();
        return Err(Report::of_file(file_name, message, "name another file with `--config FILE`"));
    }
    let source = Source::new(file_name, text);
    resolve::resolve(&source, read::read(&source), base, addresses)
}

#[cfg(test)]
mod tests;
