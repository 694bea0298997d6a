//! The commands that documents tell people to type are commands that Keystile has.

use clap::{CommandFactory as _, Parser as _};
use keystile::cli::arguments::Arguments;

use crate::tree::{files, markdown};

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let mut count = 0;
    for document in markdown() {
        for line in shell_lines(&document.text) {
            let Some(words) = command(line) else { continue };
            count += 1;
            if let Err(error) = Arguments::try_parse_from(&words) {
                use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
                let is_told = matches!(error.kind(), DisplayHelp | DisplayVersion);
                assert!(is_told, "{}: {line}\n{error}", document.path);
            }
        }
    }
    assert!(count > 20, "the documents show commands");
}

/// Where a command may stand that is no text for owners, or is the only way out for whoever reads it.
const MAY_NAME_COMMANDS: [&str; 5] = [
    // Adds them for the command line.
    "crates/engine/src/advice.rs",
    // The flags of curl, in a line that is made to be pasted.
    "crates/core/src/policy/example_call.rs",
    // The labels of hashes.
    "crates/core/src/owners/secret.rs",
    // Nobody is signed in, and only the machine itself helps.
    "crates/web/templates/claim.html",
    "crates/web/templates/sign_in.html",
];

/// The API, the pages and the messages have words of their own: no text of theirs tells people to type.
#[test]
fn no_answer_of_the_api_and_no_page_names_a_command() {
    let arguments = Arguments::command();
    let commands: Vec<_> = arguments
        .get_subcommands()
        .map(|command| format!("keystile {}", command.get_name()))
        .collect();
    let is_flag = |line: &str| {
        let mut places = line.match_indices("--").map(|(at, _)| &line[at + 2..]);
        places.any(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()))
    };
    let sources = files(&["crates/core/src", "crates/engine/src", "crates/web/src"], "rs");
    let shown = files(&["crates/web/templates"], "html");
    let scripts = files(&["crates/web/assets"], "js");
    let mut looked_at = 0;
    for file in sources.into_iter().chain(shown).chain(scripts) {
        if MAY_NAME_COMMANDS.contains(&file.path.as_str()) || file.path.contains("tests") {
            continue;
        }
        for line in file.text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            looked_at += 1;
            let named = commands.iter().find(|command| line.contains(command.as_str()));
            assert!(named.is_none() && !is_flag(line), "{}: {line}", file.path);
        }
    }
    assert!(looked_at > 10_000, "only {looked_at} lines");
}

/// The lines of a document's blocks for a shell.
fn shell_lines(text: &str) -> impl Iterator<Item = &str> {
    let blocks = text.split("```sh\n").skip(1);
    blocks.flat_map(|block| block.split("```").next().unwrap_or_default().lines())
}

/// The words of a call of Keystile, as a shell would make them.
fn command(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = None::<String>;
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                is_quoted = !is_quoted;
                word.get_or_insert_default();
            }
            ' ' if !is_quoted => words.extend(word.take()),
            '#' if word.is_none() && !is_quoted => break,
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    let program = words.first()?;
    (program == "keystile" || program.ends_with("/release/keystile")).then_some(words)
}
