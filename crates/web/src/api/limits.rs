//! The limits of what the API takes, as its description says them: from the same constants that enforce them.
//!
//! A pattern is never stricter than what is enforced. Where it is not as strict, because no pattern says what
//! Unicode knows of characters, a text that fits may still be answered with 422.

use keystile_core::label::{NAME_CHARS_MAX, NOTE_CHARS_MAX, REASON_CHARS_MAX};
use keystile_core::time::Span;
use keystile_store::audit::EventKind;
use serde_json::{Map, Value, json};

use super::input::{BODY_BYTES_MAX, PAGE, PAGE_MAX};

/// Controls, separators and what changes the direction; the rest is refused by what Unicode says of it.
const HIDDEN: &str =
    "\\u0000-\\u001F\\u007F-\\u00A0\\u00AD\\u200B\\u2028-\\u202E\\u2060-\\u206F\\uFEFF";

/// A name that does not begin as ids do.
fn name(id_prefix: &str) -> Value {
    let pattern = format!("^(?!{id_prefix})[^{HIDDEN} ]([^{HIDDEN}]*[^{HIDDEN} ])?$");
    json!({ "minLength": 1, "maxLength": NAME_CHARS_MAX, "pattern": pattern })
}

fn line(chars_max: usize) -> Value {
    json!({ "maxLength": chars_max, "pattern": format!("^[^{HIDDEN}]*$") })
}

fn lines(chars_max: usize) -> Value {
    let hidden = HIDDEN.replace("\\u0000-\\u001F", "\\u0000-\\u0009\\u000B-\\u001F");
    json!({ "maxLength": chars_max, "pattern": format!("^[^{hidden}]*$") })
}

/// A number and a unit.
fn length() -> String {
    format!("0*[1-9][0-9]*\\s*({})", Span::units().join("|"))
}

fn span() -> Value {
    json!({ "pattern": format!("^\\s*{}\\s*$", length()) })
}

/// A time, a day, or how long ago.
fn moment() -> Value {
    let day = "[-+]?[0-9]{4,6}-?[0-9]{2}-?[0-9]{2}.*";
    json!({ "pattern": format!("^\\s*({}(\\s*ago)?|{day})\\s*$", length()) })
}

/// The limits of what bodies hold, by schema and property.
fn of_bodies() -> Vec<(&'static str, &'static str, Value)> {
    let some = || json!({ "minLength": 1 });
    vec![
        ("NewApplication", "name", name("app_")),
        ("NewApplication", "plan", some()),
        ("KeyToCreate", "application", name("app_")),
        ("KeyToCreate", "plan", some()),
        ("Change", "plan", some()),
        ("Change", "note", lines(NOTE_CHARS_MAX)),
        ("NewLock", "reason", line(REASON_CHARS_MAX)),
        ("NewLock", "for", span()),
        ("Rolling", "grace", span()),
        ("TokenToCreate", "name", name("token_")),
        ("TokenToCreate", "for", span()),
        ("SideToTake", "difference", some()),
    ]
}

/// The limits of parameters, by operation and name; the operation is empty for all that have the parameter.
fn of_parameters() -> Vec<(&'static str, &'static str, Value)> {
    let kinds: Vec<_> = EventKind::ALL.iter().map(|kind| kind.name()).collect();
    vec![
        ("", "limit", json!({ "minimum": 1, "maximum": PAGE_MAX, "default": PAGE })),
        ("", "since", moment()),
        ("", "until", moment()),
        ("list_deliveries", "cursor", json!({ "minLength": 1 })),
        ("list_audit", "kind", json!({ "enum": kinds })),
        ("list_audit", "cursor", json!({ "pattern": "^[+-]?[0-9]+$" })),
        ("list_records", "cursor", json!({ "pattern": "^(write_)?[+]?0*[1-9][0-9]*$" })),
    ]
}

fn add(schema: &mut Map<String, Value>, limits: &Value) {
    for (name, limit) in limits.as_object().into_iter().flatten() {
        schema.insert(name.clone(), limit.clone());
    }
}

/// The properties of a schema; those of its variants where it has some.
fn properties(schema: &mut Value) -> Vec<&mut Map<String, Value>> {
    let parts = if schema["oneOf"].is_array() {
        schema["oneOf"].as_array_mut().into_iter().flatten().collect()
    } else {
        vec![schema]
    };
    parts.into_iter().filter_map(|part| part["properties"].as_object_mut()).collect()
}

/// Writes the limits into the description.
pub(super) fn describe(whole: &mut Value) {
    for (schema, property, limits) in of_bodies() {
        for properties in properties(&mut whole["components"]["schemas"][schema]) {
            if let Some(Value::Object(schema)) = properties.get_mut(property) {
                add(schema, &limits);
            }
        }
    }
    // One thing at a time: whoever sends two is refused.
    for variant in
        whole["components"]["schemas"]["Change"]["oneOf"].as_array_mut().into_iter().flatten()
    {
        variant["additionalProperties"] = Value::Bool(false);
    }
    let limited = of_parameters();
    let methods = whole["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    let operations = methods.filter_map(Value::as_object_mut).flat_map(Map::values_mut);
    for operation in operations {
        let id = operation["operationId"].as_str().unwrap_or_default().to_owned();
        let parameters =
            operation.get_mut("parameters").and_then(Value::as_array_mut).into_iter().flatten();
        for parameter in parameters {
            let name = parameter["name"].as_str().unwrap_or_default().to_owned();
            let fits = limited
                .iter()
                .filter(|(of, limited, _)| *limited == name && (of.is_empty() || *of == id));
            for (_, _, limits) in fits {
                if let Some(schema) = parameter["schema"].as_object_mut() {
                    add(schema, limits);
                }
            }
        }
    }
    if let Value::String(text) = &mut whole["info"]["description"] {
        text.push_str(&format!(" A body has at most {BODY_BYTES_MAX} bytes."));
    }
}
