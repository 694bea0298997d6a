//! The commands that documents tell people to type are commands that Keystile has.

use clap::Parser as _;
use keystile::cli::arguments::Arguments;

use crate::tree::markdown;

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
