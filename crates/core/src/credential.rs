//! Where the API key of a request stands, and how it is taken out before the request goes on.
//!
//! A key is read from one field of the owner's choice, from `Authorization` (bearer token, or the
//! user of Basic), and, only where the owner says so, from the query. It may be given once. Two
//! keys are refused even when they are equal: where two places are read, two servers can see two
//! callers.
//!
//! Not here: whether the key exists. A text that cannot be a key is still a credential, so that
//! malformed, mistyped and unknown keys are answered alike.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::grammar::unescape;
use crate::refusal::{Reason, Refusal};

/// Where the keys of an API are read from, beside `Authorization`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRule {
    /// The field that holds nothing but the key.
    pub header: HeaderName,
    /// The query parameter that may hold it; `None` reads no query, because queries end up in logs.
    pub query_parameter: Option<Box<str>>,
}

impl Default for CredentialRule {
    fn default() -> Self {
        Self { header: HeaderName::from_static("x-api-key"), query_parameter: None }
    }
}

/// In which place of a request a credential stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialPlace {
    /// The field that the rule names.
    Header,
    /// `Authorization: Bearer <key>`.
    Bearer,
    /// `Authorization: Basic`, with the key as user.
    Basic,
    /// The query parameter that the rule names.
    Query,
}

/// What a caller presents as its key, not yet looked up.
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

/// Finds the one credential of a request; `None` where it has none.
///
/// An empty value is no credential, but it is an occurrence: beside a second one it is refused.
/// `Authorization` with a scheme other than Bearer and Basic is the upstream's affair. Does not
/// allocate unless the key is in Basic or is percent-encoded.
pub fn find<'a>(
    headers: &'a HeaderMap,
    query: Option<&'a str>,
    rule: &CredentialRule,
) -> Result<Option<Credential<'a>>, Refusal> {
    let mut found = single(headers, &rule.header)?
        .map(|value| (trimmed(value), CredentialPlace::Header))
        .filter(|(text, _)| !text.is_empty())
        .map(|(text, place)| Credential { text: Cow::Borrowed(text), place });

    let authorization = single(headers, &AUTHORIZATION)?;
    if rule.header == AUTHORIZATION {
        // The owner wants the bare key in Authorization; the schemes go on working in the same
        // field.
        found = authorization.and_then(of_authorization).or(found);
    } else {
        merge(&mut found, authorization.and_then(of_authorization))?;
    }

    if let (Some(query), Some(name)) = (query, rule.query_parameter.as_deref()) {
        merge(&mut found, of_query(query, name)?)?;
    }
    Ok(found)
}

fn merge<'a>(
    found: &mut Option<Credential<'a>>,
    other: Option<Credential<'a>>,
) -> Result<(), Refusal> {
    match (&found, other) {
        (_, None) => Ok(()),
        (None, other) => {
            *found = other;
            Ok(())
        }
        (Some(_), Some(_)) => Err(Reason::CredentialRepeated.into()),
    }
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Reason::CredentialRepeated.into());
    }
    Ok(first)
}

/// The value without the white space that HTTP/1 does not count and HTTP/2 leaves in place.
fn trimmed(value: &HeaderValue) -> &[u8] {
    value.as_bytes().trim_ascii()
}

fn of_authorization(value: &HeaderValue) -> Option<Credential<'_>> {
    let value = trimmed(value);
    let end = value.iter().position(|byte| matches!(byte, b' ' | b'\t'))?;
    let (scheme, rest) = value.split_at(end);
    let token = rest.trim_ascii_start();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        Some(Credential { text: Cow::Borrowed(token), place: CredentialPlace::Bearer })
    } else if scheme.eq_ignore_ascii_case(b"basic") {
        let user = basic_user(token).unwrap_or_default();
        Some(Credential { text: Cow::Owned(user), place: CredentialPlace::Basic })
    } else {
        None
    }
}

/// Clients differ in whether they pad, and a missing `=` leaves nothing open to two readings.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The part before the first colon (RFC 7617); the password is not looked at.
fn basic_user(token: &[u8]) -> Option<Vec<u8>> {
    let mut pair = BASE64.decode(token).ok()?;
    let colon = memchr::memchr(b':', &pair)?;
    pair.truncate(colon);
    Some(pair)
}

fn of_query<'a>(query: &'a str, name: &str) -> Result<Option<Credential<'a>>, Refusal> {
    let mut occurrences = query.split('&').filter(|pair| is_named(pair, name));
    let Some(pair) = occurrences.next() else {
        return Ok(None);
    };
    if occurrences.next().is_some() {
        return Err(Reason::CredentialRepeated.into());
    }
    let (_, value) = pair.split_once('=').unwrap_or((pair, ""));
    if value.is_empty() {
        return Ok(None);
    }
    let text = if memchr::memchr(b'%', value.as_bytes()).is_some() {
        Cow::Owned(form_decoded(value.as_bytes()).collect())
    } else {
        Cow::Borrowed(value.as_bytes())
    };
    Ok(Some(Credential { text, place: CredentialPlace::Query }))
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

/// Takes the credential out of the fields, so that the upstream never learns a key.
///
/// The rule's field goes in any case: where the key stood elsewhere, it was empty. For the query,
/// see [`strip_query`].
pub fn strip(headers: &mut HeaderMap, place: CredentialPlace, rule: &CredentialRule) {
    match place {
        CredentialPlace::Bearer | CredentialPlace::Basic => {
            headers.remove(AUTHORIZATION);
        }
        CredentialPlace::Header | CredentialPlace::Query => {}
    }
    if rule.header != AUTHORIZATION || place == CredentialPlace::Header {
        headers.remove(&rule.header);
    }
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in fields.iter().map(field) {
            headers.append(name, value);
        }
        headers
    }

    fn with_query() -> CredentialRule {
        CredentialRule { query_parameter: Some("api_key".into()), ..CredentialRule::default() }
    }

    /// The place and text of what is found, `none`, or the reason of the refusal.
    fn seen(fields: &[(&'static str, &str)], query: &str, rule: &CredentialRule) -> String {
        match find(&headers(fields), Some(query), rule) {
            Ok(Some(Credential { text, place })) => {
                format!("{place:?} {:?}", String::from_utf8_lossy(&text))
            }
            Ok(None) => "none".to_owned(),
            Err(refusal) => refusal.reason.to_string(),
        }
    }

    #[test]
    fn a_key_is_found_in_each_place() {
        let rule = with_query();
        for (fields, query, expected) in [
            (&[("x-api-key", "k")][..], "", "Header \"k\""),
            (&[("x-api-key", " k\t")], "", "Header \"k\""),
            (&[("x-api-key", "k"), ("authorization", "Digest a=b")], "", "Header \"k\""),
            (&[("authorization", "Bearer k")], "", "Bearer \"k\""),
            (&[("authorization", "bEARER   k")], "", "Bearer \"k\""),
            (&[("authorization", "Bearer k, Bearer l")], "", "Bearer \"k, Bearer l\""),
            (&[("authorization", "Basic azpwYXNz")], "", "Basic \"k\""),
            (&[("authorization", "basic azo=")], "", "Basic \"k\""),
            (&[("authorization", "basic azo")], "", "Basic \"k\""),
            (&[], "a=1&api_key=k&b", "Query \"k\""),
            (&[], "api%5Fkey=%6B", "Query \"k\""),
            (&[], "api%5fkey=k%", "Query \"k%\""),
            (&[("x-api-key", ""), ("authorization", "Bearer k")], "", "Bearer \"k\""),
        ] {
            assert_eq!(seen(fields, query, &rule), expected, "{fields:?} {query}");
        }
    }

    #[test]
    fn a_credential_that_cannot_be_read_matches_no_key() {
        for value in ["Basic %%%", "Basic aw==", "Basic ", "Basic Og==", "Basic OnBhc3M="] {
            let found = seen(&[("authorization", value)], "", &CredentialRule::default());
            assert!(matches!(&*found, "Basic \"\"" | "none"), "{value}: {found}");
        }
    }

    #[test]
    fn nothing_is_no_credential() {
        let rule = with_query();
        for (fields, query) in [
            (&[][..], ""),
            (&[("x-api-key", "")], "api_key="),
            (&[("x-api-key", " ")], "api_key"),
            (&[("authorization", "Bearer")], "API_KEY=k"),
            (&[("authorization", "Digest username=k")], "xapi_key=k&api_key2=k"),
            (&[("authorization", "")], "a=api_key=k"),
        ] {
            assert_eq!(seen(fields, query, &rule), "none", "{fields:?} {query}");
        }
        assert_eq!(seen(&[], "api_key=k", &CredentialRule::default()), "none");
    }

    #[test]
    fn a_key_given_twice_is_refused_even_when_equal() {
        let rule = with_query();
        for (fields, query) in [
            (&[("x-api-key", "k"), ("x-api-key", "k")][..], ""),
            (&[("x-api-key", ""), ("x-api-key", "k")], ""),
            (&[("x-api-key", "k"), ("authorization", "Bearer k")], ""),
            (&[("x-api-key", "k"), ("authorization", "Basic azo=")], ""),
            (&[("authorization", "Bearer k"), ("authorization", "Bearer k")], ""),
            (&[("authorization", "Digest a=b"), ("authorization", "Bearer k")], ""),
            (&[("x-api-key", "k")], "api_key=k"),
            (&[("authorization", "Bearer k")], "api%5Fkey=k"),
            (&[], "api_key=k&api_key=k"),
            (&[], "api_key=k&api%5Fkey="),
        ] {
            assert_eq!(seen(fields, query, &rule), "credential_repeated", "{fields:?} {query}");
        }
    }

    #[test]
    fn the_bare_key_may_stand_in_authorization() {
        let rule = CredentialRule { header: AUTHORIZATION, query_parameter: None };
        assert_eq!(seen(&[("authorization", "k")], "", &rule), "Header \"k\"");
        assert_eq!(seen(&[("authorization", "Bearer k")], "", &rule), "Bearer \"k\"");
        for place in [CredentialPlace::Header, CredentialPlace::Bearer] {
            let mut fields = headers(&[("authorization", "k"), ("accept", "a/b")]);
            strip(&mut fields, place, &rule);
            assert_eq!(fields, headers(&[("accept", "a/b")]));
        }
    }

    #[test]
    fn the_upstream_never_sees_the_key() {
        let rule = CredentialRule::default();
        for (fields, kept) in [
            (
                &[("x-api-key", "k"), ("authorization", "Digest a")][..],
                &[("authorization", "Digest a")][..],
            ),
            (&[("x-api-key", ""), ("authorization", "Bearer k")], &[]),
            (&[("authorization", "Basic azo="), ("accept", "a/b")], &[("accept", "a/b")]),
        ] {
            let mut left = headers(fields);
            let place = find(&left, None, &rule).unwrap().unwrap().place;
            strip(&mut left, place, &rule);
            assert_eq!(left, headers(kept));
        }
    }

    #[test]
    fn only_the_parameter_leaves_the_query() {
        for (query, left) in [
            ("api_key=k", None),
            ("a=1&api_key=k&b=%5F&&c", Some("a=1&b=%5F&&c")),
            ("api%5Fkey=k&a", Some("a")),
            ("a&api%5fkey", Some("a")),
            ("a=api_key&b", Some("a=api_key&b")),
            ("", Some("")),
        ] {
            assert_eq!(strip_query(query, &with_query()).as_deref(), left, "{query}");
        }
        let untouched = strip_query("api_key=k", &CredentialRule::default());
        assert!(matches!(untouched, Some(Cow::Borrowed("api_key=k"))));
    }

    #[test]
    fn a_credential_does_not_print_its_text() {
        let text = Cow::Borrowed(&b"secret"[..]);
        let credential = Credential { text, place: CredentialPlace::Query };
        assert_eq!(format!("{credential:?}"), "Credential { text: [redacted], place: Query }");
    }

    proptest! {
        #[test]
        fn no_credential_is_found_in_a_stripped_request(
            query in "[a&=%5Fapi_key+]{0,40}",
            scheme in "(Bearer|Basic|Digest)? ?[a-zA-Z0-9=:]{0,12}",
        ) {
            let rule = with_query();
            let mut fields = headers(&[("authorization", &scheme)]);
            if let Ok(Some(found)) = find(&fields, Some(&query), &rule) {
                let place = found.place;
                strip(&mut fields, place, &rule);
                let left = strip_query(&query, &rule);
                prop_assert_eq!(find(&fields, left.as_deref(), &rule), Ok(None));
            }
        }

        #[test]
        fn hostile_bytes_never_panic(
            value in proptest::collection::vec(any::<u8>(), 0..60),
            query in ".{0,60}",
        ) {
            let mut fields = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                fields.insert(AUTHORIZATION, value);
            }
            let _ = find(&fields, Some(&query), &with_query());
            let _ = strip_query(&query, &with_query());
        }
    }
}
