//! `keystile completions`, `man` and `version`.

use std::fs;
use std::path::Path;

use clap::CommandFactory as _;

use super::arguments::{Arguments, PaperCommand};
use super::session::{Stop, Terminal};

pub(super) fn print(command: &PaperCommand, terminal: &mut Terminal<'_>) -> Result<(), Stop> {
    match command {
        PaperCommand::Completions { shell } => {
            // In memory first: the generator panics when it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "keystile", &mut script);
            terminal.stdout.write_all(&script)?;
        }
        PaperCommand::Man { dir: None } => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Arguments::command()).render(&mut page)?;
            terminal.stdout.write_all(&page)?;
        }
        PaperCommand::Man { dir: Some(dir) } => {
            write_pages(dir).map_err(|error| {
                let message = format!("the manual cannot be written to {}: {error}", dir.display());
                Stop::failed(message, "name a directory that you may write to")
            })?;
            terminal.say(&format!("The manual is in {}.", dir.display()))?;
        }
        PaperCommand::Version { json: false } => {
            writeln!(terminal.stdout, "keystile {}", env!("CARGO_PKG_VERSION"))?;
        }
        PaperCommand::Version { json: true } => {
            terminal.print_json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") }))?;
        }
    }
    Ok(())
}

fn write_pages(dir: &Path) -> std::io::Result<()> {
    fs::create_dir_all(dir)?;
    clap_mangen::generate_to(Arguments::command().disable_help_subcommand(true), dir)
}
