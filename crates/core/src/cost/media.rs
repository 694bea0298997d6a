//! How a body is to be decoded, as its head says.

use super::call::CountedCall;
use super::uncountable::Uncountable;
use crate::request::head::{Fields, text_of};

pub(super) const JSON: &str = "application/json";
pub(super) const GRAPHQL: &str = "application/graphql";

/// The media type of a body, one of those that are named, and its text.
///
/// Neither is guessed: a server that trusts the head and one that looks at the bytes must agree.
pub(super) fn text<'a, 'n>(
    call: &CountedCall<'a>,
    named: &[&'n str],
) -> Result<(&'n str, &'a str), Uncountable> {
    let media_type = media_type(call.fields, named)?;
    if !is_plain(call.fields) {
        return Err(Uncountable::new(
            "The body has a content coding. Send it without Content-Encoding.",
        ));
    }
    let text = std::str::from_utf8(call.body)
        .map_err(|_| Uncountable::new("The body is not valid UTF-8."))?;
    if text.starts_with('\u{feff}') {
        return Err(Uncountable::new("The body begins with a byte-order mark. Send it without."));
    }
    Ok((media_type, text))
}

fn media_type<'n>(fields: Fields<'_>, named: &[&'n str]) -> Result<&'n str, Uncountable> {
    let uncountable = || {
        Uncountable::new(format!(
            "The body must be sent as `Content-Type: {}`, in UTF-8 and without further parameters.",
            named.join("` or `")
        ))
    };
    let mut values = fields.values("content-type");
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(uncountable());
    };
    let text = text_of(value).ok_or_else(uncountable)?;
    let mut parts = text.split(';').map(|part| part.trim_matches([' ', '\t']));
    let essence = parts.next().unwrap_or_default();
    let known = named.iter().find(|name| name.eq_ignore_ascii_case(essence));
    let mut parameters = parts.filter(|parameter| !parameter.is_empty());
    let is_clear = parameters.next().is_none_or(is_utf8) && parameters.next().is_none();
    known.filter(|_| is_clear).copied().ok_or_else(uncountable)
}

/// Whether a parameter says that the text is UTF-8, which it is without saying so.
fn is_utf8(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else {
        return false;
    };
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let value = quoted.unwrap_or(value);
    name.eq_ignore_ascii_case("charset")
        && (value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8"))
}

fn is_plain(fields: Fields<'_>) -> bool {
    let mut codings = fields.values("content-encoding");
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(coding), None) => coding.eq_ignore_ascii_case(b"identity"),
        (Some(_), Some(_)) => false,
    }
}
