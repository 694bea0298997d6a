//! Rules on Rust files.

use crate::tree::{SourceFile, rust};

const LINES_MAX: usize = 800;

/// Fails with every line that breaks a rule.
fn hold(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}:\n{}", broken.join("\n"));
}

/// The lines of a file's code for which something is said.
fn lines_where(file: &SourceFile, mut fault: impl FnMut(&str) -> Option<String>) -> Vec<String> {
    let code = file.code();
    let lines = code.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            Some(format!("{}:{}: {}", file.path, number + 1, fault(line)?))
        })
        .collect()
}

#[test]
fn no_file_is_too_long_to_read() {
    let long = rust()
        .iter()
        .map(|file| (&file.path, file.text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect::<Vec<_>>();
    hold("a file has at most 800 lines; it wants to be two", &long);
}

#[test]
fn every_file_says_what_it_is_for() {
    let has_head = |file: &SourceFile| {
        let mut lines = file.text.lines().filter(|line| !line.starts_with("#!"));
        lines.next().is_some_and(|line| line.starts_with("//! "))
    };
    let silent = rust()
        .iter()
        // `tests.rs` beside the module that it tests says it by its name.
        .filter(|file| !file.path.contains("/src/") || !file.is_test())
        .filter(|file| !has_head(file))
        .map(|file| file.path.clone())
        .collect::<Vec<_>>();
    hold("a file begins with a `//!` line", &silent);
}

/// Words of other vocabularies, with ours.
const FORBIDDEN: [(&str, &str); 8] = [
    ("consumer", "application"),
    ("consumers", "applications"),
    ("endpoint", "operation"),
    ("endpoints", "operations"),
    ("tier", "plan"),
    ("tiers", "plans"),
    ("throttle", "rate limit"),
    ("blacklist", "a word for what it does"),
];

/// Words that say nothing, in names that are ours to choose.
const EMPTY: [&str; 5] = ["manager", "helper", "helpers", "util", "utils"];

/// Names of files that say nothing.
const EMPTY_FILES: [&str; 5] = ["common", "helpers", "misc", "types", "utils"];

const EMPTY_VERBS: [&str; 4] = ["get", "handle", "process", "do"];

#[test]
fn a_file_is_named_by_what_is_in_it() {
    for file in rust() {
        let parts = file.path.split(['/', '.']);
        let empty = parts.filter(|part| EMPTY_FILES.contains(part)).count();
        assert_eq!(empty, 0, "{}: the name says nothing", file.path);
    }
}

#[test]
fn identifiers_use_the_words_of_the_glossary() {
    let broken = rust().iter().flat_map(|file| lines_where(file, foreign_word)).collect::<Vec<_>>();
    hold("one concept has one word (CONTRIBUTING.md)", &broken);
}

fn foreign_word(line: &str) -> Option<String> {
    let word = words_of(line)
        .into_iter()
        .find_map(|word| FORBIDDEN.iter().find(|(known, _)| *known == word));
    if let Some((word, ours)) = word {
        return Some(format!("{word}: write {ours}"));
    }
    let (kind, name) = defined(line)?;
    let words = words_of(name);
    let starts_empty = words.first().is_some_and(|verb| EMPTY_VERBS.contains(&verb.as_str()));
    if kind == "fn" && starts_empty && words.len() > 1 {
        return Some(format!("{name}: begin with a verb that says something"));
    }
    let empty = words.iter().find(|word| EMPTY.contains(&word.as_str()))?;
    Some(format!("{name}: {empty} says nothing"))
}

/// What a line defines: the keyword and the name.
pub(crate) fn defined(line: &str) -> Option<(&str, &str)> {
    const KEYWORDS: [&str; 8] = ["fn", "struct", "enum", "trait", "mod", "type", "const", "static"];
    let mut words = line.split_whitespace();
    let keyword = words.find(|word| KEYWORDS.contains(word))?;
    let name = words.next()?;
    let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
    Some((keyword, &name[..end.unwrap_or(name.len())]))
}

/// The words that identifiers are made of, in lower case: `KeyEntry` and `key_entry` alike.
pub(crate) fn words_of(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut is_in_word = false;
    let mut was_lower = false;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            is_in_word = false;
            continue;
        }
        if !is_in_word || (c.is_ascii_uppercase() && was_lower) {
            words.push(String::new());
        }
        words.last_mut().unwrap().push(c.to_ascii_lowercase());
        is_in_word = true;
        was_lower = c.is_ascii_lowercase() || c.is_ascii_digit();
    }
    words
}

#[test]
fn nothing_is_left_to_be_done() {
    const MARKS: [&str; 5] = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!"];
    let mut left = Vec::new();
    for file in rust() {
        for (number, line) in file.text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '!' && c != '"');
            if words.any(|word| MARKS.contains(&word)) {
                left.push(format!("{}:{}: {}", file.path, number + 1, line.trim()));
            }
        }
    }
    hold("what is missing is an issue, not a comment", &left);
}

#[test]
fn nothing_is_unsafe() {
    let is_keyword = |line: &str| {
        let mut identifiers = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        identifiers.any(|word| word == "unsafe")
    };
    let used = rust()
        .iter()
        .flat_map(|file| lines_where(file, |line| is_keyword(line).then(|| line.trim().to_owned())))
        .collect::<Vec<_>>();
    hold("there is no `unsafe`", &used);
}

#[test]
fn the_core_has_no_clock_no_chance_and_no_outside_world() {
    const OUTSIDE: [&str; 11] = [
        "std::fs",
        "std::env",
        "std::process",
        "std::thread",
        "SystemTime",
        "Instant",
        "TcpStream",
        "UdpSocket",
        "async fn",
        "tokio",
        "getrandom",
    ];
    let impure = rust()
        .iter()
        .filter(|file| file.path.starts_with("crates/core/src/"))
        .flat_map(|file| {
            lines_where(file, |line| {
                let outside = OUTSIDE.iter().find(|outside| line.contains(*outside))?;
                Some((*outside).to_owned())
            })
        })
        .collect::<Vec<_>>();
    hold("the core is pure", &impure);
}

#[test]
fn comments_and_quotes_are_no_code() {
    let file = SourceFile {
        path: "crates/core/src/example.rs".to_owned(),
        text: "let a = \"endpoint // \\\" \"; // tier\n/* consumer\n */ let b = r#\"x \" y\"#;\n"
            .to_owned(),
    };
    assert_eq!(file.code(), "let a = ; \n\n let b = ;\n");
    assert!(foreign_word("let tier = endpoint;").is_some());
    assert!(foreign_word("fn get_key() {}").is_some());
    assert!(foreign_word("fn get() {} // a method of HTTP").is_none());
    assert_eq!(words_of("KeyEntry::key_row"), ["key", "entry", "key", "row"]);
}
