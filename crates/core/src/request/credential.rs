//! Which credential of a request is a key of ours, and how it is taken out before the request goes on.
//!
//! A key is read from one field, from `Authorization`, and, only where the owner says so, from the
//! query. The API behind the gate may want credentials too, and in the same places. So a credential is
//! ours only where it speaks of a key (see [`crate::keys::text::speaks_of_key`]), or where it stands in a place
//! that the owner chose for keys. Everything else is the API's, and passes untouched.
//!
//! A key may be given once. Two are refused even when they are equal: where two places are read, two
//! servers can see two callers. For that reason the fields that are read may stand once, whosesoever
//! their values are.
//!
//! A key that another system issued ([`crate::keys::imported`]) speaks of nothing. It is found in a field or query
//! parameter that the owner chose, where everything is meant as a key, and in `X-API-Key` also where nobody
//! chose: what stands there is looked up, and is the API's only where it is no key. In `Authorization` it is
//! found only where the owner chose that field, alone, as a bearer token or as the user of Basic; there
//! it is otherwise the API's own credential, like every text that does not speak of a key, and passes to it.
//!
//! Not here: whether the key exists. A text that is meant as a key and cannot be one is still ours, so
//! that malformed, mistyped and unknown keys are answered alike, and none is passed on.

use std::borrow::Cow;
use std::fmt;

use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{Engine as _, alphabet};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName};
use smallvec::SmallVec;

use crate::keys::text::{KeyPrefix, speaks_of_key};
use crate::request::grammar::unescape;
use crate::request::head::Fields;

/// Where the keys of an API are read from, beside `Authorization`, and how they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRule {
    /// The field that may hold the key and nothing else.
    pub header: HeaderName,
    /// That field as people write it.
    pub header_text: Box<str>,
    /// Whether the owner chose the field, so that whatever stands in it is meant as a key. `X-API-Key`,
    /// which is read where nobody chose, is the name that many APIs read their own keys from.
    pub is_header_chosen: bool,
    /// The query parameter that may hold it; `None` reads no query, because queries end up in logs.
    pub query_parameter: Option<Box<str>>,
    /// What new keys begin with.
    pub prefix: KeyPrefix,
}

impl Default for CredentialRule {
    fn default() -> Self {
        Self {
            header: HeaderName::from_static("x-api-key"),
            header_text: "X-API-Key".into(),
            is_header_chosen: false,
            query_parameter: None,
            prefix: KeyPrefix::default(),
        }
    }
}

impl CredentialRule {
    /// Reads keys from a field that the owner chose.
    #[must_use]
    pub fn in_header(self, header: HeaderName, text: &str) -> Self {
        Self { header, header_text: text.into(), is_header_chosen: true, ..self }
    }

    /// What a caller without a key is told.
    pub fn how_to_send(&self) -> Cow<'static, str> {
        if !self.is_header_chosen && self.query_parameter.is_none() {
            return "An API key is needed. Send it in the X-API-Key header or as a bearer token."
                .into();
        }
        let header = &self.header_text;
        let last = match &self.query_parameter {
            None => " or as a bearer token".to_owned(),
            Some(name) => format!(", as a bearer token, or in the query parameter {name}"),
        };
        format!("An API key is needed. Send it in the {header} header{last}.").into()
    }
}

/// In which place of a request a credential stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialPlace {
    /// The field that the rule names.
    Header,
    /// `Authorization`: a bearer token, a part of Basic, or the bare key.
    Authorization,
    /// The query parameter that the rule names.
    Query,
}

/// A text that was presented, not yet looked up.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The presented bytes; empty where they could not be decoded, which no key equals.
    pub text: Cow<'a, [u8]>,
    /// Where they stood.
    pub place: CredentialPlace,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("text", &format_args!("[redacted]"))
            .field("place", &self.place)
            .finish()
    }
}

/// What a request presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No key; perhaps credentials of the API, in `Authorization`.
    Nothing,
    /// A key, or what is meant as one.
    Key(Credential<'a>),
    /// No key, and in the field that nobody chose something that does not speak of one: a credential of
    /// the API, or nonsense.
    Other(Credential<'a>),
    /// Two keys, or a field twice that may stand once.
    Twice,
}

/// Finds what a request presents.
///
/// An empty value is no credential, but it is an occurrence: beside a second one it is refused. Does not
/// allocate unless there is Basic, or the key is percent-encoded.
pub fn find<'a>(
    fields: Fields<'a>,
    query: Option<&'a str>,
    rule: &CredentialRule,
) -> Presented<'a> {
    let in_places =
        [in_header(fields, rule), in_authorization(fields, rule), in_query(query, rule)];
    in_places.into_iter().fold(Presented::Nothing, |found, next| match (found, next) {
        (Presented::Twice, _) | (_, Presented::Twice) | (Presented::Key(_), Presented::Key(_)) => {
            Presented::Twice
        }
        (Presented::Key(key), _) | (_, Presented::Key(key)) => Presented::Key(key),
        (Presented::Other(other), _) | (_, Presented::Other(other)) => Presented::Other(other),
        (Presented::Nothing, Presented::Nothing) => Presented::Nothing,
    })
}

/// The value of a field that may stand once.
fn single<'a>(fields: Fields<'a>, name: &HeaderName) -> Result<Option<&'a [u8]>, Presented<'a>> {
    let mut values = fields.values(name.as_str());
    let first = values.next();
    if values.next().is_some() {
        return Err(Presented::Twice);
    }
    // HTTP/1 does not count white space around a value, and HTTP/2 leaves it in place.
    Ok(first.map(<[u8]>::trim_ascii))
}

fn in_header<'a>(fields: Fields<'a>, rule: &CredentialRule) -> Presented<'a> {
    if rule.header == AUTHORIZATION {
        return Presented::Nothing;
    }
    let text = match single(fields, &rule.header) {
        Ok(None | Some([])) => return Presented::Nothing,
        Ok(Some(text)) => text,
        Err(twice) => return twice,
    };
    let credential = Credential { text: Cow::Borrowed(text), place: CredentialPlace::Header };
    if rule.is_header_chosen || speaks_of_key(text, &rule.prefix) {
        Presented::Key(credential)
    } else {
        Presented::Other(credential)
    }
}

fn in_authorization<'a>(fields: Fields<'a>, rule: &CredentialRule) -> Presented<'a> {
    let value = match single(fields, &AUTHORIZATION) {
        Ok(None | Some([])) => return Presented::Nothing,
        Ok(Some(value)) => value,
        Err(twice) => return twice,
    };
    let is_chosen = rule.header == AUTHORIZATION;
    let speaks = |text: &[u8]| speaks_of_key(text, &rule.prefix);
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(value.len());
    let (scheme, token) = (&value[..end], value[end..].trim_ascii_start());
    let is_basic = scheme.eq_ignore_ascii_case(b"basic");
    let (text, is_ours) = match basic_pair(token).filter(|_| is_basic) {
        // Some clients have a field for the password only.
        Some((user, password)) if !speaks(&user) && speaks(&password) => {
            (Cow::Owned(password), true)
        }
        Some((user, _)) => {
            let is_ours = speaks(&user);
            (Cow::Owned(user), is_ours)
        }
        None if is_basic && is_chosen => (Cow::Borrowed(&[][..]), true),
        None => {
            let is_bearer = scheme.eq_ignore_ascii_case(b"bearer");
            let is_bare = token.is_empty() || (is_chosen && !is_bearer);
            (Cow::Borrowed(if is_bare { value } else { token }), speaks(value))
        }
    };
    if is_ours || is_chosen {
        Presented::Key(Credential { text, place: CredentialPlace::Authorization })
    } else {
        Presented::Nothing
    }
}

/// Clients differ in whether they pad, and a missing `=` leaves nothing open to two readings.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands before the first colon, and behind it (RFC 7617). Without one, all is the user.
fn basic_pair(token: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut user = BASE64.decode(token).ok()?;
    let colon = memchr::memchr(b':', &user).unwrap_or(user.len());
    let password = user.get(colon + 1..).unwrap_or_default().to_vec();
    user.truncate(colon);
    Some((user, password))
}

fn in_query<'a>(query: Option<&'a str>, rule: &CredentialRule) -> Presented<'a> {
    let (Some(query), Some(name)) = (query, rule.query_parameter.as_deref()) else {
        return Presented::Nothing;
    };
    let mut occurrences = query.split('&').filter(|pair| is_named(pair, name));
    let Some(pair) = occurrences.next() else {
        return Presented::Nothing;
    };
    if occurrences.next().is_some() {
        return Presented::Twice;
    }
    let (_, value) = pair.split_once('=').unwrap_or((pair, ""));
    if value.is_empty() {
        return Presented::Nothing;
    }
    let text = if memchr::memchr(b'%', value.as_bytes()).is_some() {
        Cow::Owned(form_decoded(value.as_bytes()).collect())
    } else {
        Cow::Borrowed(value.as_bytes())
    };
    Presented::Key(Credential { text, place: CredentialPlace::Query })
}

/// Whether the pair's name, as an upstream would decode it, is this one: `api%5Fkey` is `api_key`.
fn is_named(pair: &str, name: &str) -> bool {
    let raw = pair.split_once('=').map_or(pair, |(raw, _)| raw);
    form_decoded(raw.as_bytes()).eq(name.bytes())
}

/// The bytes that a form parser reads; an escape that is none stands for itself.
fn form_decoded(raw: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = raw;
    std::iter::from_fn(move || {
        let (first, after) = rest.split_first()?;
        let plain = if *first == b'+' { b' ' } else { *first };
        let (byte, after) = unescape(rest).unwrap_or((plain, after));
        rest = after;
        Some(byte)
    })
}

/// Takes the key out of the fields, so that the upstream never learns it. For the query, see
/// [`strip_query`].
pub fn strip(headers: &mut HeaderMap, place: CredentialPlace, rule: &CredentialRule) {
    match place {
        CredentialPlace::Header => headers.remove(&rule.header),
        CredentialPlace::Authorization => headers.remove(AUTHORIZATION),
        CredentialPlace::Query => None,
    };
}

/// The query without the rule's parameter, however its name is escaped; `None` where nothing is
/// left.
///
/// Everything else keeps its bytes and its order. Borrows where the parameter does not occur.
pub fn strip_query<'q>(query: &'q str, rule: &CredentialRule) -> Option<Cow<'q, str>> {
    let Some(name) = rule.query_parameter.as_deref() else {
        return Some(Cow::Borrowed(query));
    };
    let pairs: SmallVec<[&str; 16]> = query.split('&').collect();
    if !pairs.iter().any(|pair| is_named(pair, name)) {
        return Some(Cow::Borrowed(query));
    }
    let mut kept = pairs.into_iter().filter(|pair| !is_named(pair, name));
    let mut left = String::with_capacity(query.len());
    left.push_str(kept.next()?);
    for pair in kept {
        left.push('&');
        left.push_str(pair);
    }
    Some(Cow::Owned(left))
}

#[cfg(test)]
mod tests;
