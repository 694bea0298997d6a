//! Values as the portal's versions write them: a number may be a text, and a text a number.

use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// A number, or its digits. No other value is repeated in the error.
pub(super) fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    number_in(&value).ok_or_else(|| wrong(&value, &"a whole number"))
}

/// The same, or nothing.
pub(super) fn maybe_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.is_null() || value.as_str().is_some_and(str::is_empty) {
        return Ok(None);
    }
    number_in(&value).map(Some).ok_or_else(|| wrong(&value, &"a whole number or nothing"))
}

/// A text, or a number as text.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let value = Value::deserialize(deserializer)?;
    text_in(&value).ok_or_else(|| wrong(&value, &"a text"))
}

/// The same; nothing for an empty one.
pub(super) fn maybe_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    if value.is_null() {
        return Ok(None);
    }
    let text = text_in(&value).ok_or_else(|| wrong(&value, &"a text or nothing"))?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Whether something is so; nothing is not so.
pub(super) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::Bool(flag) => Ok(flag),
        Value::Null => Ok(false),
        Value::String(text) if matches!(text.as_str(), "true" | "1") => Ok(true),
        Value::String(text) if matches!(text.as_str(), "false" | "0" | "") => Ok(false),
        Value::Number(number) if number.as_u64() == Some(1) => Ok(true),
        Value::Number(number) if number.as_u64() == Some(0) => Ok(false),
        value => Err(wrong(&value, &"true or false")),
    }
}

fn number_in(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn text_in(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// What is there is named by its kind only: it may be a key.
fn wrong<E: Error>(value: &Value, expected: &dyn serde::de::Expected) -> E {
    let kind = match value {
        Value::Null => Unexpected::Other("nothing"),
        Value::Bool(_) => Unexpected::Other("true or false"),
        Value::Number(_) => Unexpected::Other("another number"),
        Value::String(_) => Unexpected::Other("a text"),
        Value::Array(_) => Unexpected::Seq,
        Value::Object(_) => Unexpected::Map,
    };
    E::invalid_type(kind, expected)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_number_may_be_a_text_and_a_text_a_number() {
        assert_eq!(number(json!(7)).unwrap(), 7);
        assert_eq!(number(json!("7")).unwrap(), 7);
        assert_eq!(maybe_number(json!(null)).unwrap(), None);
        assert_eq!(maybe_number(json!("")).unwrap(), None);
        assert_eq!(text(json!(7)).unwrap(), "7");
        assert_eq!(maybe_text(json!("")).unwrap(), None);
        assert_eq!(maybe_text(json!("a")).unwrap().as_deref(), Some("a"));
        for (value, expected) in [
            (json!(true), true),
            (json!("true"), true),
            (json!(1), true),
            (json!("0"), false),
            (json!(null), false),
        ] {
            assert_eq!(flag(value).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_kind_only() {
        for value in [json!("TOPSECRET"), json!(["TOPSECRET"]), json!({"TOPSECRET": 1}), json!(-1)]
        {
            let errors = [number(value.clone()).unwrap_err(), flag(value).unwrap_err()];
            for error in errors.map(|error| error.to_string()) {
                assert!(error.starts_with("invalid type"), "{error}");
                assert!(!error.contains("TOPSECRET"), "{error}");
            }
        }
        assert_eq!(
            text(json!(null)).unwrap_err().to_string(),
            "invalid type: nothing, expected a text"
        );
    }
}
