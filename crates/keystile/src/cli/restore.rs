//! The command line's side of `keystile restore`: what is looked at before, and said after.

use std::path::Path;

use keystile_engine::command::{Failure, FailureKind};

use super::arguments::{CommonArguments, Form, RestoreArguments};
use super::session::{Stop, Terminal};

/// Refuses to restore from nothing, or over a data directory that holds something without `--force`.
pub fn check(arguments: &RestoreArguments, data: &Path) -> Result<(), Failure> {
    let failure = |message: String, help: &str| {
        Err(Failure { kind: FailureKind::Invalid, message, help: Some(help.to_owned()) })
    };
    match arguments.file.metadata() {
        Err(error) => {
            let message =
                format!("the backup {} cannot be read: {error}", arguments.file.display());
            return failure(message, "name a file that `keystile backup` wrote");
        }
        Ok(found) if !found.is_file() => {
            let message = format!("{} is not a file", arguments.file.display());
            return failure(message, "name a file that `keystile backup` wrote");
        }
        Ok(_) => {}
    }
    // A directory that cannot be read is the store's to complain about.
    let is_left_over = |entry: &std::fs::DirEntry| {
        let name = entry.file_name();
        name == "keystile.lock" || name.to_string_lossy().starts_with("keystile.restoring")
    };
    let holds_something = std::fs::read_dir(data).is_ok_and(|mut entries| {
        entries.any(|entry| !entry.is_ok_and(|entry| is_left_over(&entry)))
    });
    if holds_something && !arguments.force {
        let message =
            format!("{} already holds data, which a restore would replace", data.display());
        return failure(
            message,
            "name an empty directory with --data, or replace the data with --force",
        );
    }
    Ok(())
}

/// Says that it is done.
pub fn report_done(
    arguments: &RestoreArguments,
    data: &Path,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    let sentence =
        format!("{} now holds what was in {}.", data.display(), arguments.file.display());
    match arguments.common.form() {
        Form::Text => terminal.say(&sentence)?,
        Form::Json => terminal.print_json(&serde_json::json!({ "done": sentence }))?,
    }
    Ok(())
}

/// Says what was accepted.
pub fn report_accepted(
    arguments: &CommonArguments,
    accepted: Option<&str>,
    terminal: &mut Terminal<'_>,
) -> Result<(), Stop> {
    match (arguments.form(), accepted) {
        (Form::Json, accepted) => {
            terminal.print_json(&serde_json::json!({ "accepted": accepted }))?;
        }
        (Form::Text, Some(what)) => terminal.say(&format!("Accepted: {what}."))?,
        (Form::Text, None) => terminal.say("Nothing is missing; nothing was changed.")?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::arguments::{Arguments, CliCommand};
    use super::*;
    use clap::Parser as _;

    fn arguments(file: &Path, force: &[&str]) -> RestoreArguments {
        let line = [&["keystile", "restore", file.to_str().unwrap()], force].concat();
        match Arguments::try_parse_from(line).unwrap().subcommand {
            CliCommand::Restore(arguments) => arguments,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn data_is_replaced_only_by_force() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("backup");
        let data = folder.path().join("data");
        assert!(check(&arguments(&file, &[]), &data).is_err(), "no backup");
        std::fs::write(&file, "").unwrap();
        assert_eq!(check(&arguments(&file, &[]), &data), Ok(()), "no data directory");
        std::fs::create_dir(&data).unwrap();
        assert_eq!(check(&arguments(&file, &[]), &data), Ok(()), "an empty one");
        std::fs::write(data.join("store"), "").unwrap();
        assert!(check(&arguments(&file, &[]), &data).is_err(), "a full one");
        assert_eq!(check(&arguments(&file, &["--force"]), &data), Ok(()));
        assert!(check(&arguments(&data, &["--force"]), &data).is_err(), "a directory as backup");
    }
}
