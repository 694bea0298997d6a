//! What a request says: parameters of the query, of a form and of JSON, by name and by type.
//!
//! The reference takes all three for the same and does not look at types. Here a value of another type than is
//! meant is an error that names its place, as in `service_tokens[0].service_id`.

use serde_json::{Map, Value};

use super::json::Json;
use crate::backend::params::{self, Params};
use crate::backend::query::Query;

/// Named values, and where they stand.
#[derive(Debug)]
pub(super) struct Fields<'f> {
    place: String,
    values: &'f Map<String, Value>,
}

/// Reads all parameters. Where the query and the body have a name, the body's value holds.
pub(super) fn read(query: &str, media_type: &str, body: &[u8]) -> Result<Map<String, Value>, Json> {
    let mut all = form(query.as_bytes())?;
    let first = body.iter().find(|byte| !byte.is_ascii_whitespace());
    let is_form = media_type.starts_with("application/x-www-form-urlencoded");
    let more = match first {
        None => Map::new(),
        // Some clients send JSON and say that it is a form.
        Some(b'{') => json(body)?,
        Some(_) if is_form => form(body)?,
        Some(_) => json(body)?,
    };
    all.extend(more);
    Ok(all)
}

fn form(bytes: &[u8]) -> Result<Map<String, Value>, Json> {
    let query = Query::parse(bytes).map_err(|error| Json::invalid(error.to_string()))?;
    let params = query.params().map_err(|error| Json::invalid(error.to_string()))?;
    Ok(object(params))
}

fn object(params: &Params<'_>) -> Map<String, Value> {
    params.iter().map(|(name, value)| (name.to_owned(), of_form(value))).collect()
}

fn of_form(value: &params::Value<'_>) -> Value {
    match value {
        params::Value::Null => Value::Null,
        params::Value::Text(text) => Value::from(text.as_ref()),
        params::Value::List(values) => values.iter().map(of_form).collect(),
        params::Value::Hash(params) => Value::Object(object(params)),
    }
}

fn json(body: &[u8]) -> Result<Map<String, Value>, Json> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(_) => Err(Json::invalid("the body is no JSON object")),
        Err(error) => Err(Json::invalid(format!("the body is no JSON: {error}"))),
    }
}

/// A text, or a number as its text.
fn text(place: &str, value: &Value) -> Result<String, Json> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err(Json::invalid(format!("{place} is neither a text nor a number")))
        }
    }
}

impl<'f> Fields<'f> {
    /// All parameters of a request.
    pub(super) const fn of_request(values: &'f Map<String, Value>) -> Self {
        Self { place: String::new(), values }
    }

    /// Those of an element of a list.
    pub(super) fn of_element(place: String, value: &'f Value) -> Result<Self, Json> {
        match value {
            Value::Object(values) => Ok(Self { place, values }),
            _ => Err(Json::invalid(format!("{place} is no object"))),
        }
    }

    /// Where a value of a name stands.
    pub(super) fn place(&self, name: &str) -> String {
        if self.place.is_empty() { name.to_owned() } else { format!("{}.{name}", self.place) }
    }

    /// The value of a name. `null` is none.
    pub(super) fn value(&self, name: &str) -> Option<&'f Value> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// All names and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'f String, &'f Value)> {
        self.values.iter()
    }

    /// A text, where there is one. A number is a text.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Json> {
        self.value(name).map(|value| text(&self.place(name), value)).transpose()
    }

    /// Whether something is so, where that is said.
    pub(super) fn flag(&self, name: &str) -> Result<Option<bool>, Json> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match value {
            Value::Bool(flag) => Ok(Some(*flag)),
            Value::String(text) if matches!(text.as_str(), "true" | "1") => Ok(Some(true)),
            Value::String(text) if matches!(text.as_str(), "false" | "0") => Ok(Some(false)),
            Value::Number(number) if number.as_u64() == Some(1) => Ok(Some(true)),
            Value::Number(number) if number.as_u64() == Some(0) => Ok(Some(false)),
            _ => Err(Json::invalid(format!("{} is neither true nor false", self.place(name)))),
        }
    }

    /// A whole number from 0, where there is one.
    pub(super) fn number(&self, name: &str) -> Result<Option<u64>, Json> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let invalid = || Json::invalid(format!("{} is no whole number from 0", self.place(name)));
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|_| is_number).ok_or_else(invalid).map(Some)
    }

    /// The values that stand under a name.
    pub(super) fn under(&self, name: &str) -> Result<Option<Self>, Json> {
        self.value(name).map(|value| Self::of_element(self.place(name), value)).transpose()
    }

    /// A list of objects, where there is one.
    pub(super) fn list(&self, name: &str) -> Result<Option<&'f Vec<Value>>, Json> {
        match self.value(name) {
            None => Ok(None),
            Some(Value::Array(values)) => Ok(Some(values)),
            Some(_) => Err(Json::invalid(format!("{} is no list", self.place(name)))),
        }
    }

    /// A list of texts, where there is one.
    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<String>>, Json> {
        let Some(values) = self.list(name)? else { return Ok(None) };
        let place = |at: usize| format!("{}[{at}]", self.place(name));
        let texts = values.iter().enumerate().map(|(at, value)| text(&place(at), value));
        texts.collect::<Result<_, _>>().map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_query_a_form_and_json_say_the_same() {
        let expected = json!({"service": {"id": "7", "state": "active"}});
        let form = "service[id]=7&service[state]=active";
        let form_type = "application/x-www-form-urlencoded; charset=utf-8";
        for (query, media_type, body) in [
            (form, "", String::new()),
            ("", form_type, form.to_owned()),
            ("", "application/json", expected.to_string()),
            ("", form_type, expected.to_string()),
            ("service=other", "", expected.to_string()),
        ] {
            let read = read(query, media_type, body.as_bytes()).unwrap();
            assert_eq!(Value::Object(read), expected, "{query} {media_type} {body}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_invalid() {
        for body in ["[]", "7", "{", "{\"a\":}", "a=b", "\u{7}"] {
            let error = read("", "application/json", body.as_bytes()).unwrap_err();
            assert_eq!(error.status.as_u16(), 400, "{body}");
        }
        assert!(read("a=%f", "", b"").is_err());
        assert!(read("", "", b" \r\n").unwrap().is_empty());
    }

    #[test]
    fn a_value_of_another_type_is_an_error_that_names_its_place() {
        let values = json!({"a": [{"b": {}, "f": 2, "n": "-1", "t": ["x", []]}]});
        let request = Fields::of_request(values.as_object().unwrap());
        let list = request.list("a").unwrap().unwrap();
        let fields = Fields::of_element("a[0]".to_owned(), &list[0]).unwrap();
        let error = |error: Json| error.body["error"].as_str().unwrap().to_owned();
        assert_eq!(error(fields.text("b").unwrap_err()), "a[0].b is neither a text nor a number");
        assert_eq!(error(fields.flag("f").unwrap_err()), "a[0].f is neither true nor false");
        assert_eq!(error(fields.number("n").unwrap_err()), "a[0].n is no whole number from 0");
        assert_eq!(
            error(fields.texts("t").unwrap_err()),
            "a[0].t[1] is neither a text nor a number"
        );
        assert_eq!(error(fields.list("b").unwrap_err()), "a[0].b is no list");
        assert_eq!(error(fields.under("n").unwrap_err()), "a[0].n is no object");
        assert_eq!(fields.text("n").unwrap().unwrap(), "-1");
        assert_eq!(fields.number("f").unwrap(), Some(2));
        assert!(fields.text("missing").unwrap().is_none());
    }
}
