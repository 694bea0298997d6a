//! What the TOML parser and serde say, in words for the person who wrote the file.

use std::sync::Arc;

use serde_json::Value;

use keystile_core::notifications::trigger::Trigger;

use super::diagnostic::{Diagnostic, Source};
use super::path::{Removed, Step};
use super::schema;
use super::suggest::{closest, either};

/// A bracket that is not closed.
pub(super) fn unclosed(source: &Arc<Source>, opener: usize) -> Diagnostic {
    let place = opener..opener + 1;
    let (open, close) = if source.at(&place) == "{" { ('{', '}') } else { ('[', ']') };
    let mut problem =
        Diagnostic::new(source, Some(place), format!("this `{open}` is never closed"));
    problem.help(format!("write `{close}` after its last entry"));
    problem
}

/// What word processors and chats make of plain quotation marks.
const TYPOGRAPHIC_QUOTES: [char; 10] = ['“', '”', '„', '‟', '‘', '’', '‚', '‛', '«', '»'];

/// A mistake that the TOML parser found.
pub(super) fn syntax(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    let place = error.span().unwrap_or_default();
    let text = source.at(&place);
    let rest = source.text().get(place.start..).unwrap_or_default();
    if let Some(quote) = rest.lines().next().unwrap_or_default().chars().next()
        && TYPOGRAPHIC_QUOTES.contains(&quote)
    {
        let message =
            format!("`{quote}` is a typographic quotation mark, and TOML knows only \" and '");
        let meant = text.trim().trim_matches(TYPOGRAPHIC_QUOTES);
        let mut problem = Diagnostic::new(source, Some(place.clone()), message);
        problem.help_if((!meant.is_empty()).then(|| format!("write {meant:?}")));
        return problem;
    }
    let said = error.message();
    let (message, help) = match said {
        "duplicate key" => {
            (format!("{} is given twice", quoted(text)), Some("keep one of the two".to_owned()))
        }
        _ if said.starts_with("string values must be quoted") => (
            "text must stand in quotes".to_owned(),
            Some(format!("write {:?}", text.trim())).filter(|_| !text.trim().is_empty()),
        ),
        _ if said.starts_with("invalid boolean") => {
            let meant = closest(text, ["true", "false"]);
            let help = match meant {
                Some(word) => format!("write {word}, in lower case and without quotes"),
                None => format!("write {text:?} where a text is meant"),
            };
            (
                format!(
                    "{} is neither a text in quotes, nor a number, nor true or false",
                    quoted(text)
                ),
                Some(help),
            )
        }
        _ => (format!("this is not TOML: {said}"), None),
    };
    let mut problem = Diagnostic::new(source, Some(place), message);
    problem.help_if(help);
    problem
}

/// A mistake that is nowhere in the table, so that reading cannot go on.
pub(super) fn other(source: &Arc<Source>, error: &toml::de::Error) -> Diagnostic {
    Diagnostic::new(source, error.span(), format!("this cannot be read: {}", error.message()))
}

/// A mistake of form that serde found in what was removed; a misspelt key in it is set right.
pub(super) fn form(source: &Arc<Source>, said: &str, removed: &mut Removed) -> Diagnostic {
    let key = last_key(&removed.path).to_owned();
    if said.starts_with("unknown field") {
        return unknown_key(source, &key, removed);
    }
    let at_value =
        |message: String| Diagnostic::new(source, Some(removed.value_place.clone()), message);
    if said.starts_with("unknown variant") {
        let words = schema::words(&removed.path);
        let text = source.at(&removed.value_place).trim_matches(['"', '\'']);
        let mut problem = at_value(format!("`{key}` cannot be {text:?}"));
        let former = Trigger::stored_as(text).map(Trigger::name);
        problem.help(match (former, closest(text, words.iter().copied())) {
            (Some(word), _) if words.contains(&word) => format!("it is called {word:?} now"),
            (_, Some(word)) => format!("did you mean {word:?}?"),
            (_, None) => format!("write {}", either_quoted(&words)),
        });
        return problem;
    }
    let found = removed.found;
    let wanted = match said.rsplit_once(", expected ") {
        Some((_, wanted)) => plain_type(wanted),
        None if said == "wanted string or table" => "a string",
        None => return at_value(format!("`{key}` cannot be read: {said}")),
    };
    if found == "integer" && wanted.contains("whole number") {
        return at_value(format!("the number for `{key}` is too large"));
    }
    let what =
        if matches!(removed.path.last(), Some(Step::Index(_))) { "each entry of " } else { "" };
    let wanted = or_array(wanted, &removed.path);
    let wanted = wanted.as_str();
    let mut problem = at_value(format!("{what}`{key}` must be {wanted}"));
    problem.label(format!("this is {} {found}", article(found)));
    if let ("table", "an array", Some(Step::Key(_))) = (found, wanted, removed.path.last()) {
        problem.help(format!("write it with two brackets: {}", table_name(&removed.path)));
    } else if wanted == "true or false" {
        // The default alone would say the opposite of what is meant.
        problem.help(format!("write {key} = true, or {key} = false"));
    } else {
        problem.help_if(example(&removed.path));
    }
    problem
}

fn unknown_key(source: &Arc<Source>, key: &str, removed: &mut Removed) -> Diagnostic {
    let parent = &removed.path[..removed.path.len().saturating_sub(1)];
    let table = table_name(parent);
    let known = schema::keys(parent);
    let message = format!("{table} has no key {}", quoted(key));
    let mut problem = Diagnostic::new(source, Some(removed.key_place.clone()), message);
    problem.label("unknown key");
    let others = schema::tables_with(key);
    if let Some(meant) = closest(key, known.iter().copied()) {
        problem.help(format!("did you mean `{meant}`?"));
        if let Some(Step::Key(last)) = removed.path.last_mut() {
            meant.clone_into(last);
        }
    } else if !others.is_empty() {
        problem.help(format!("`{key}` belongs in {}", either(others)));
    } else {
        problem.help(format!("{table} has {}", known.join(", ")));
    }
    problem
}

/// The table at a path, as it would be written.
fn table_name(path: &[Step]) -> String {
    let keys: Vec<_> = path
        .iter()
        .filter_map(|step| match step {
            Step::Key(key) => Some(key.as_str()),
            Step::Index(_) => None,
        })
        .collect();
    match keys.as_slice() {
        [] => "the top of the file".to_owned(),
        ["api", _, "operation"] => format!("[[{}]]", shown(&keys.join("."))),
        ["gate" | "console" | "keys" | "journal" | "api" | "plan"] | ["api" | "plan", _] => {
            format!("[{}]", shown(&keys.join(".")))
        }
        [.., last] => quoted(last),
    }
}

fn last_key(path: &[Step]) -> &str {
    let key = |step: &'_ Step| matches!(step, Step::Key(_));
    match path.iter().rfind(|step| key(step)) {
        Some(Step::Key(key)) => key,
        Some(Step::Index(_)) | None => "file",
    }
}

/// An example of the value at a path, as a line of the file.
fn example(path: &[Step]) -> Option<String> {
    let path = if let [path @ .., Step::Index(_)] = path { path } else { path };
    let schema = schema::at(path)?;
    let value = schema
        .get("examples")
        .and_then(|examples| examples.get(0))
        .or_else(|| schema.get("default"))?;
    Some(format!("write it as in {} = {}", last_key(path), toml_value(value)))
}

/// A JSON value as TOML writes it.
pub(super) fn toml_value(value: &Value) -> String {
    match value {
        Value::Array(entries) => {
            format!("[{}]", entries.iter().map(toml_value).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

fn plain_type(wanted: &str) -> &str {
    match wanted {
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "an array",
        "a map" => "a table",
        other => other,
    }
}

/// What is wanted, and that several of it may be given where that is so.
fn or_array(wanted: &str, path: &[Step]) -> String {
    let is_entry = matches!(path.last(), Some(Step::Index(_)));
    match wanted {
        _ if is_entry || !schema::takes_array(path) => wanted.to_owned(),
        "a string" => "a string or an array of strings".to_owned(),
        "a string or a table" => "a string, a table, or an array of these".to_owned(),
        wanted => wanted.to_owned(),
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}

fn either_quoted(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    either(quoted.iter().map(String::as_str))
}

/// What somebody wrote, in backticks, short and without control characters.
pub(super) fn quoted(text: &str) -> String {
    format!("`{}`", shown(text))
}

fn shown(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    let mut shown: String =
        text.chars().take(CHARS_MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
    if text.chars().nth(CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}
