//! The references that are written from the code: the same text in `docs/`, or a failure.

use std::fmt::Write as _;

use keystile::config;
use keystile_core::refusal::Reason;
use serde_json::Value;

use crate::tree::{SourceFile, read, root, rust};

/// Compares a document with the text that the code gives, or rewrites it.
fn hold(path: &str, expected: &str) {
    if std::env::var_os("KEYSTILE_BLESS").is_some() {
        std::fs::write(root().join(path), expected).unwrap();
    }
    let found = std::fs::read_to_string(root().join(path)).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is not what the code says; write it anew with\n  \
         KEYSTILE_BLESS=1 cargo test -p keystile --test tidy"
    );
}

#[test]
fn the_configuration_reference_is_current() {
    let text = config::reference();
    hold("docs/configuration.md", &format!("{}\n", text.trim_end()));
}

#[test]
fn every_configuration_key_is_in_the_reference() {
    let reference = config::reference();
    let mut keys = Vec::new();
    keys_of(&config::schema(), &mut keys);
    assert!(keys.len() > 50, "the schema has keys");
    for key in keys {
        // A key, or a table with a heading of its own.
        let headings =
            [format!("### `{key}`\n"), format!("## `[{key}]`\n"), format!("## `[{key}.NAME]`\n")];
        assert!(
            headings.iter().any(|heading| reference.contains(heading)),
            "{key} is not in the reference"
        );
    }
}

/// The names of all keys of a schema.
fn keys_of(schema: &Value, keys: &mut Vec<String>) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Object(properties)) = fields.get("properties") {
                keys.extend(properties.keys().cloned());
            }
            fields.values().for_each(|field| keys_of(field, keys));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| keys_of(entry, keys)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[test]
fn the_reference_of_refusals_is_current() {
    hold("docs/refusals.md", &refusals());
}

fn refusals() -> String {
    let mut text = String::from(
        "# Refusals\n\n\
         Why Keystile answers a request itself, in the order in which a request meets the rules. An answer is\n\
         `application/problem+json`; its `reason` is the name below, and its `type` is the address of a page\n\
         with this text, which the gate serves under `/.well-known/keystile/problems/`.\n\n\
         | reason | status | |\n|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let _ = writeln!(
            text,
            "| [`{reason}`](#{reason}) | {} | {} |",
            reason.status(),
            reason.title()
        );
    }
    for reason in Reason::ALL {
        let _ = write!(
            text,
            "\n## {reason}\n\n**{} {}.** {}\n\nFor the owner: {}\n",
            reason.status(),
            reason.title(),
            reason.caller_text(),
            reason.owner_text()
        );
    }
    text
}

#[test]
fn every_refusal_reason_is_tried_by_a_test() {
    let files = rust();
    let tests = files
        .iter()
        .filter(|file| !file.path.contains("/tests/tidy/"))
        .map(SourceFile::test_part)
        .collect::<Vec<_>>();
    let untried = Reason::ALL
        .iter()
        .filter(|reason| {
            let variant = format!("Reason::{reason:?}");
            let name = format!("{reason}\"");
            !tests.iter().any(|test| test.contains(&variant) || test.contains(&name))
        })
        .map(|reason| reason.name())
        .collect::<Vec<_>>();
    assert!(untried.is_empty(), "no test names {untried:?}");
}

#[test]
fn every_metric_is_in_the_guide() {
    let guide = read("docs/guide.md");
    for file in rust().iter().filter(|file| file.path.contains("/src/")) {
        for macro_name in ["counter!(\"", "gauge!(\"", "histogram!(\""] {
            for use_of in file.text.split(macro_name).skip(1) {
                let (name, _) = use_of.split_once('"').unwrap();
                assert!(guide.contains(name), "{name} is not in docs/guide.md");
            }
        }
    }
}
