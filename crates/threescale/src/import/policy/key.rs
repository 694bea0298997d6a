//! Where callers show their key, as a configuration says it.

use std::fmt::Write as _;

use super::quoted::quoted;
use crate::portal::records::Authentication;

/// Fields that the gate reads for another purpose, so that no key stands in them.
const FIELDS_IN_USE: [&str; 8] = [
    "host",
    "content-length",
    "content-type",
    "idempotency-key",
    "te",
    "trailer",
    "expect",
    "cookie",
];

/// The field from which whole keys are read where a configuration names none.
const FIELD_BY_DEFAULT: &str = "x-api-key";

/// Writes where callers show their key.
pub(super) fn write_key<'c>(
    text: &mut String,
    authentication: &Authentication,
    proxy: impl Fn(&str) -> Option<&'c str>,
) {
    let location = proxy("credentials_location").unwrap_or("query");
    let name = |setting: &str, default: &'static str| {
        proxy(setting).filter(|name| is_word(name)).unwrap_or(default)
    };
    match authentication {
        Authentication::UserKey => write_whole(text, location, name("auth_user_key", "user_key")),
        Authentication::AppId => {
            let (id, secret) = (name("auth_app_id", "app_id"), name("auth_app_key", "app_key"));
            write_pair(text, location, id, secret);
        }
        Authentication::OpenIdConnect | Authentication::Unknown => say(
            text,
            "callers show a token of an identity provider, which Keystile does not check: give them keys",
        ),
    }
}

fn write_whole(text: &mut String, location: &str, name: &str) {
    let _ = match location {
        "authorization" => writeln!(text, "key_header = \"Authorization\""),
        "headers" => match field(text, name) {
            Some(field) => writeln!(text, "key_header = {}", quoted(&field)),
            None => Ok(()),
        },
        _ => writeln!(text, "key_query_parameter = {}", quoted(name)),
    };
}

/// An id and a secret, which are one key here. With Basic authentication, the two are its user and password.
fn write_pair(text: &mut String, location: &str, id: &str, secret: &str) {
    if id.eq_ignore_ascii_case(secret) {
        say(text, "callers show an id and a secret under one name, which cannot be said here");
        return;
    }
    let pair = |id: &str, secret: &str| format!("id = {}, secret = {}", quoted(id), quoted(secret));
    let _ = match location {
        "authorization" => {
            let _ = writeln!(text, "key_header = \"Authorization\"");
            writeln!(text, "key_pair = {{ {} }}", pair(id, secret))
        }
        "headers" => {
            let (id, secret) = (field(text, id), field(text, secret));
            let (Some(id), Some(secret)) = (id, secret) else { return };
            // A field that whole keys are read from holds no part of one.
            if [&id, &secret].iter().any(|name| name.eq_ignore_ascii_case(FIELD_BY_DEFAULT)) {
                let _ = writeln!(text, "key_header = \"X-Whole-Key\"");
            }
            writeln!(text, "key_pair = {{ {}, in = \"header\" }}", pair(&id, &secret))
        }
        _ => writeln!(text, "key_pair = {{ {} }}", pair(id, secret)),
    };
    say(text, "an application that has no such secret cannot call: what it shows is no key");
}

/// The name that a header field has here, where it can hold a key.
fn field(text: &mut String, name: &str) -> Option<String> {
    let here = name.replace('_', "-");
    let lower = here.to_ascii_lowercase();
    if FIELDS_IN_USE.contains(&lower.as_str())
        || keystile_core::request::grammar::is_untrusted(&lower)
    {
        let said =
            format!("the field {} has another purpose here: callers need another", quoted(name));
        say(text, &said);
        return None;
    }
    if here != name {
        let said = format!(
            "callers must write {} for {}: fields with `_` never pass",
            quoted(&here),
            quoted(name)
        );
        say(text, &said);
    }
    Some(here)
}

fn say(text: &mut String, said: &str) {
    let _ = writeln!(text, "# {said}");
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
}
