//! Words that the first build coined are gone: each concept has the word that its field uses.

use crate::sources::{defined, words_of};
use crate::tree::{SourceFile, files};

/// Names of types, with the name to use.
const TYPES: [(&str, &str); 33] = [
    ("Verdict", "Decision or Admission"),
    ("Job", "AdmittedRequest"),
    ("Occasion", "RefusalContext"),
    ("Known", "ExchangeStats"),
    ("Arrived", "InboundBody"),
    ("Census", "ConnectionLimiter"),
    ("Counted", "ConnectionPermit"),
    ("Watched", "InspectedIo"),
    ("Joined", "CoalescingWriter"),
    ("Patience", "WriteStallTimeout"),
    ("Want", "Reuse"),
    ("Pool", "UpstreamRegistry"),
    ("Core", "Worker"),
    ("Work", "WriteTx"),
    ("Memory", "WriterState"),
    ("Asker", "Waiter"),
    ("Mailbox", "CompletionQueue"),
    ("Letter", "Completion"),
    ("Look", "TailBatch"),
    ("Eye", "RuleMatcher"),
    ("Stretch", "ScanRange"),
    ("Watching", "WatchRules"),
    ("Placed", "Disposition"),
    ("Tally", "DigestCounts"),
    ("Spot", "Spanned"),
    ("Proved", "RecentlyAuthenticated"),
    ("Told", "Notified, or what it is"),
    ("Storm", "RefusalBurst"),
    ("Trouble", "StoreHealth"),
    ("Desk", "TestConsole or TestEngine"),
    ("Bench", "TestStore"),
    ("Rig", "TestGate"),
    ("Stage", "TestTerminal"),
];

/// Names of functions, with the name to use.
const FUNCTIONS: [(&str, &str); 12] = [
    ("at_hand", "checkout_idle"),
    ("go_back", "rollback_to"),
    ("hand_out", "drain"),
    ("keep_house", "run_maintenance"),
    ("near", "budget_warnings"),
    ("paper", "info"),
    ("ring", "wake"),
    ("see", "redirect"),
    ("storm", "refusal_burst"),
    ("tell", "record, notify, wake or set_headers"),
    ("told", "notifications"),
    ("trouble", "store_health"),
];

/// Names of files, with the name to use.
const FILES: [(&str, &str); 12] = [
    ("block", "facet_index"),
    ("near", "budget_warnings"),
    ("paper", "info"),
    ("quiet", "quiet_hours"),
    ("stage", "setup"),
    ("storm", "refusal_burst"),
    ("table", "key_cache"),
    ("tell", "record or plan"),
    ("told", "notifications"),
    ("trouble", "store_health"),
    ("watched", "inspected_io"),
    ("words", "format"),
];

/// Words that stand in no name of a type or function, except in the names of tests, which are sentences.
const WORDS: [(&str, &str); 6] = [
    ("asked", "query"),
    ("census", "limiter"),
    ("storm", "refusal_burst"),
    ("tell", "record, notify, wake or set_headers"),
    ("trouble", "health or failure"),
    ("verdict", "decision"),
];

#[test]
fn retired_words_do_not_come_back() {
    let mut broken = Vec::new();
    for file in files(&["crates"], "rs") {
        let found = retired(&file).into_iter();
        broken.extend(found.map(|(place, word, ours)| format!("{place}: {word} is now {ours}")));
    }
    assert!(broken.is_empty(), "retired words:\n{}", broken.join("\n"));
}

/// The places of a file where retired words stand, with the word and its successor.
fn retired(file: &SourceFile) -> Vec<(String, &'static str, &'static str)> {
    let stem = file.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
    let name = FILES.iter().find(|(word, _)| *word == stem);
    let mut places =
        name.map(|(word, ours)| (file.path.clone(), *word, *ours)).into_iter().collect::<Vec<_>>();
    let code = file.code();
    let mut is_test = false;
    for (number, line) in code.lines().enumerate() {
        let line = line.trim();
        if let Some((word, ours)) = retired_in(line, is_test) {
            places.push((format!("{}:{}", file.path, number + 1), word, ours));
        }
        is_test = (is_test && line.starts_with("#["))
            || line.ends_with("test]")
            || line.contains("test(");
    }
    places
}

/// The retired word in what a line defines.
fn retired_in(line: &str, is_test: bool) -> Option<(&'static str, &'static str)> {
    let (kind, name) = defined(line)?;
    let whole = match kind {
        "struct" | "enum" | "trait" | "type" => TYPES.iter().find(|(word, _)| *word == name),
        "fn" => FUNCTIONS.iter().find(|(word, _)| *word == name),
        "mod" => FILES.iter().find(|(word, _)| *word == name),
        _ => None,
    };
    if is_test {
        return None;
    }
    let words = words_of(name);
    let part = || WORDS.iter().find(|(word, _)| words.iter().any(|known| known == word));
    whole.or_else(part).copied()
}

#[test]
fn a_retired_word_is_found_in_types_functions_and_files() {
    let words = |path: &str, text: &str| {
        let (path, text) = (path.to_owned(), text.to_owned());
        let found = retired(&SourceFile { path, text });
        found.into_iter().map(|(_, word, _)| word).collect::<Vec<_>>()
    };
    assert_eq!(words("crates/a/src/storm.rs", ""), ["storm"]);
    assert_eq!(
        words("crates/a/src/a.rs", "pub(crate) struct Verdict;\nfn tell(a: u8) {}"),
        ["Verdict", "tell"]
    );
    assert_eq!(
        words("crates/a/src/a.rs", "struct KeysAsked;\nasync fn tell_of_key() {}"),
        ["asked", "tell"]
    );
    assert_eq!(words("crates/a/src/a.rs", "const STORM_PAUSE: u8 = 1;"), ["storm"]);
    let test = "#[test]\n#[ignore]\nfn a_storm_is_told() {}\n#[tokio::test(x)]\nasync fn a_storm_ends() {}";
    assert!(words("crates/a/src/a.rs", test).is_empty());
    assert!(
        words("crates/a/src/a.rs", "// struct Verdict\nstruct KnownKey;\nfn telling() {}")
            .is_empty()
    );
}
