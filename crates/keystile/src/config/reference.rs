//! The reference of all keys, written from the schema.

use std::fmt::Write as _;

use serde_json::Value;

use super::explain::toml_value;
use super::path::Step;
use super::schema::{self, Table};

/// The reference of the configuration file, in Markdown.
pub fn reference() -> String {
    let mut text = String::from("# Configuration reference\n\n");
    if let Some(top) = schema::at(&[]).and_then(description) {
        let _ = writeln!(text, "{top}\n");
    }
    for table in schema::tables() {
        describe_table(&mut text, &table);
    }
    text
}

fn describe_table(text: &mut String, table: &Table) {
    let title = if table.path.is_empty() {
        "Top of the file".to_owned()
    } else {
        format!("`{}`", table.title)
    };
    let _ = writeln!(text, "## {title}\n");
    if let Some(about) = schema::at(&table.path)
        .and_then(schema::table_shape)
        .and_then(description)
        .filter(|_| !table.path.is_empty())
    {
        let _ = writeln!(text, "{about}\n");
    }
    for key in schema::keys(&table.path) {
        let path: Vec<_> = table.path.iter().cloned().chain([Step::Key(key.to_owned())]).collect();
        // Tables have a heading of their own.
        if table.path.is_empty()
            && schema::tables().iter().any(|other| other.path.first() == path.first())
        {
            continue;
        }
        if let Some(schema) = schema::at(&path) {
            describe_key(text, key, schema, &schema::words(&path));
        }
    }
}

fn describe_key(text: &mut String, key: &str, schema: &Value, words: &[&str]) {
    let _ = writeln!(text, "### `{key}`\n\n{}\n", description(schema).unwrap_or_default());
    let mut facts = vec![format!("- Type: {}", type_name(schema))];
    if !words.is_empty() {
        let words: Vec<_> = words.iter().map(|word| format!("`{word:?}`")).collect();
        facts = vec![format!("- One of {}", words.join(", "))];
    }
    if let Some(default) = schema.get("default") {
        facts.push(format!("- Default: `{}`", toml_value(default)));
    }
    for example in schema.get("examples").and_then(Value::as_array).into_iter().flatten() {
        facts.push(format!("- Example: `{key} = {}`", toml_value(example)));
    }
    let _ = writeln!(text, "{}\n", facts.join("\n"));
}

fn description(schema: &Value) -> Option<&str> {
    schema.get("description")?.as_str()
}

/// As in `string, table, or array of these`.
fn type_name(schema: &Value) -> String {
    let mut names = Vec::new();
    type_names(schema, &mut names);
    match names.as_slice() {
        [one @ .., "array"] if !one.is_empty() => {
            let these = if one.len() == 1 { one.concat() } else { "these".to_owned() };
            format!("{}, or array of {these}", one.join(", "))
        }
        names => names.join(" or "),
    }
}

fn type_names(schema: &Value, names: &mut Vec<&'static str>) {
    if let Some(choices) = schema.get("anyOf").and_then(Value::as_array) {
        return choices.iter().for_each(|choice| type_names(choice, names));
    }
    names.push(match schema.get("type").and_then(Value::as_str) {
        Some("array") => "array",
        Some("object") => "table",
        Some("integer") => "whole number",
        Some("boolean") => "`true` or `false`",
        Some(_) | None => "string",
    });
}
