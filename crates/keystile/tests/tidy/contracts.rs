//! Rules on doc comments of the lower crates: who calls a function that can fail reads when it does.

use crate::tree::{SourceFile, files};

/// The crates whose functions are called by many.
const LOWER: [&str; 3] = ["core", "store", "engine"];

#[test]
fn what_can_fail_says_when() {
    let folders = LOWER.map(|name| format!("crates/{name}/src"));
    let folders = folders.each_ref().map(String::as_str);
    let files = files(&folders, "rs");
    let broken = files.iter().filter(|file| !file.is_test()).flat_map(silent_functions);
    let broken = broken.collect::<Vec<_>>();
    assert!(
        broken.is_empty(),
        "a sentence with \"fails\" or \"when\", or \"# Errors\", says when a function fails\n{}",
        broken.join("\n")
    );
}

/// The public, documented functions of a file that give a `Result` and do not say when it is an error.
fn silent_functions(file: &SourceFile) -> Vec<String> {
    let mut silent = Vec::new();
    let mut docs = String::new();
    let mut lines = file.text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let line = line.trim();
        if let Some(doc) = line.strip_prefix("///") {
            docs.push_str(doc);
            docs.push('\n');
            continue;
        }
        if line.starts_with("#[") {
            continue;
        }
        let docs = std::mem::take(&mut docs);
        if !is_public_function(line) {
            continue;
        }
        let mut signature = line.to_owned();
        while !signature.ends_with(['{', ';', '}']) {
            let Some((_, more)) = lines.next() else { break };
            signature.push(' ');
            signature.push_str(more.trim());
        }
        let is_fallible = signature.rsplit_once("->").is_some_and(|(_, answer)| {
            answer.split(|c: char| !c.is_alphanumeric()).any(|word| word == "Result")
        });
        if is_fallible && !docs.is_empty() && !says_when(&docs) {
            silent.push(format!("{}:{}: {signature}", file.path, number + 1));
        }
    }
    silent
}

fn is_public_function(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("pub ") else { return false };
    let mut words = rest.split(' ').skip_while(|word| matches!(*word, "const" | "async"));
    words.next() == Some("fn")
}

fn says_when(docs: &str) -> bool {
    let mut words = docs.split(|c: char| !c.is_alphanumeric());
    docs.contains("# Errors")
        || words.any(|word| matches!(word, "fails" | "Fails" | "when" | "When"))
}

#[test]
fn a_silent_function_is_found_and_one_that_speaks_is_not() {
    let silent = |text: &str| {
        let (path, text) = ("crates/core/src/example.rs".to_owned(), text.to_owned());
        silent_functions(&SourceFile { path, text }).len()
    };
    assert_eq!(silent("/// Reads it.\n#[must_use]\npub fn read() -> Result<u8> {\n"), 1);
    assert_eq!(silent("/// Reads it.\npub async fn read(\n    a: u8,\n) -> io::Result<u8> {\n"), 1);
    assert_eq!(silent("/// Reads it. Fails on a bad disk.\npub fn read() -> Result<u8> {\n"), 0);
    assert_eq!(silent("/// Reads it.\n///\n/// # Errors\npub fn read() -> Result<u8> {\n"), 0);
    assert_eq!(silent("/// Reads it.\npub fn read() -> Option<u8> {\n"), 0);
    assert_eq!(silent("/// Reads it.\npub(crate) fn read() -> Result<u8> {\n"), 0);
    assert_eq!(silent("/// A field.\npub a: u8,\npub fn read() -> Result<u8> {\n"), 0);
}
