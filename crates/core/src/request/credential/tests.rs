//! Which credentials are ours, and what becomes of them.

use super::places::BASE64;
use super::*;
use crate::request::head::fields_of;
use base64::Engine as _;
use http::{HeaderName, HeaderValue};
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

/// A key of the prefix `ks`, and the same with a typo.
const KEY: &str = "ks_0000000000000000000000000000000000000000000_0JwTDp";
const TYPO: &str = "ks_0000000000000000000000000000000000000000001_0JwTDp";

fn base64(text: &str) -> String {
    BASE64.encode(text)
}

/// What is presented: `nothing`, `twice`, or how, where, and what.
fn seen(fields: &[(&'static str, &str)], query: &str, rule: &CredentialRule) -> String {
    let shown = |how: &str, Credential { text, place }: Credential<'_>| {
        format!("{how} {place:?} {}", String::from_utf8_lossy(&text))
    };
    match find(Fields(&fields_of(&headers(fields))), Some(query), rule) {
        Presented::Nothing => "nothing".to_owned(),
        Presented::Key(key) => shown("key", key),
        Presented::Other(other) => shown("other", other),
        Presented::Twice => "twice".to_owned(),
    }
}

#[test]
fn a_key_is_found_in_each_place() {
    let rule = with_query();
    for text in [KEY, TYPO] {
        let pair = |user: &str, password: &str| base64(&format!("{user}:{password}"));
        for (fields, query, place) in [
            (&[("x-api-key", text)][..], String::new(), "Header"),
            (&[("x-api-key", &format!(" {text}\t"))], String::new(), "Header"),
            (&[("x-api-key", text), ("authorization", "Digest a=b")], String::new(), "Header"),
            (&[("authorization", &format!("Bearer {text}"))], String::new(), "Authorization"),
            (&[("authorization", &format!("bEARER   {text}"))], String::new(), "Authorization"),
            (&[("authorization", text)], String::new(), "Authorization"),
            (&[("authorization", &format!("Token {text}"))], String::new(), "Authorization"),
            (
                &[("authorization", &format!("Basic {}", pair(text, "p")))],
                String::new(),
                "Authorization",
            ),
            (
                &[("authorization", &format!("basic {}", pair("u", text)))],
                String::new(),
                "Authorization",
            ),
            (
                &[("authorization", &format!("Basic {}", pair(text, text)))],
                String::new(),
                "Authorization",
            ),
            (
                &[("authorization", &format!("Basic {}", base64(text)))],
                String::new(),
                "Authorization",
            ),
            (
                &[("x-api-key", ""), ("authorization", &format!("Bearer {text}"))],
                String::new(),
                "Authorization",
            ),
            (&[], format!("a=1&api_key={text}&b"), "Query"),
            (&[], format!("api%5Fkey={}", text.replace('_', "%5f")), "Query"),
        ] {
            let expected = format!("key {place} {text}");
            assert_eq!(seen(fields, &query, &rule), expected, "{fields:?} {query}");
        }
    }
}

#[test]
fn a_credential_of_the_api_is_no_key_wherever_it_stands() {
    for value in [
        "Bearer abc",
        "Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJrc18xIn0.a-ks_b_c",
        "Bearer ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "Basic dXNlcjpwYXNz",
        "Basic %%%",
        "Basic ",
        "Basic Og==",
        "Bearer",
        "Bearer ",
        "Digest username=\"k\", response=\"ks\"",
        "AWS4-HMAC-SHA256 Credential=AKIA_X/20260101, Signature=00",
        "token",
        "",
    ] {
        let fields = [("authorization", value)];
        assert_eq!(seen(&fields, "", &CredentialRule::default()), "nothing", "{value}");
        let beside = [("authorization", value), ("x-api-key", KEY)];
        let expected = format!("key Header {KEY}");
        assert_eq!(seen(&beside, "", &CredentialRule::default()), expected, "{value}");
    }
    for value in ["nonsense", "sk_live_1", "x"] {
        let rule = CredentialRule::default();
        assert_eq!(seen(&[("x-api-key", value)], "", &rule), format!("other Header {value}"));
        let bearer = format!("Bearer {KEY}");
        let beside = [("x-api-key", value), ("authorization", &*bearer)];
        assert_eq!(seen(&beside, "", &rule), format!("key Authorization {KEY}"));
    }
}

#[test]
fn what_holds_a_key_in_a_form_that_is_not_read_is_still_ours() {
    for value in [
        format!("Bearer \"{KEY}\""),
        format!("Bearer Bearer {KEY}"),
        format!("Bearer abc, Bearer {KEY}"),
        format!("Digest username=\"{KEY}\", response=\"0\""),
        format!("ks_00 {KEY}"),
        format!("Bearer KS_{}", &KEY[3..]),
        format!("Bearer {}", &KEY[..20]),
        format!("Bearer {}", &KEY[3..]),
        "Bearer ks_".to_owned(),
    ] {
        let found = seen(&[("authorization", &value)], "", &CredentialRule::default());
        assert!(found.starts_with("key Authorization"), "{value}: {found}");
    }
}

#[test]
fn whatever_stands_in_a_chosen_place_is_meant_as_a_key() {
    let rule = with_query().in_header(HeaderName::from_static("x-my-key"), "X-My-Key");
    assert_eq!(seen(&[("x-my-key", "nonsense")], "", &rule), "key Header nonsense");
    assert_eq!(seen(&[], "api_key=k%", &rule), "key Query k%");
    assert_eq!(seen(&[("x-api-key", "nonsense")], "", &rule), "nothing");
    let bearer = format!("Bearer {KEY}");
    let both = [("x-my-key", "nonsense"), ("authorization", &*bearer)];
    assert_eq!(seen(&both, "", &rule), "twice");
    let foreign = [("x-my-key", "nonsense"), ("authorization", "Bearer foreign")];
    assert_eq!(seen(&foreign, "", &rule), "key Header nonsense");
    let chosen = CredentialRule::default().in_header(HeaderName::from_static("x-api-key"), "x");
    assert_eq!(seen(&[("x-api-key", "nonsense")], "", &chosen), "key Header nonsense");
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
        assert_eq!(seen(fields, query, &rule), "nothing", "{fields:?} {query}");
    }
    assert_eq!(seen(&[], "api_key=k", &CredentialRule::default()), "nothing");
}

#[test]
fn a_key_given_twice_is_told_even_when_both_are_equal() {
    let rule = with_query();
    let (bearer, basic) = (format!("Bearer {KEY}"), format!("Basic {}", base64(KEY)));
    let (twice, escaped) =
        (format!("api_key={KEY}&api_key={KEY}"), format!("api_key={KEY}&api%5Fkey="));
    let in_query = format!("api_key={KEY}");
    for (fields, query) in [
        (&[("x-api-key", KEY), ("x-api-key", KEY)][..], ""),
        (&[("x-api-key", ""), ("x-api-key", "foreign")], ""),
        (&[("x-api-key", KEY), ("authorization", &bearer)], ""),
        (&[("x-api-key", TYPO), ("authorization", &bearer)], ""),
        (&[("x-api-key", KEY), ("authorization", &basic)], ""),
        (&[("authorization", &bearer), ("authorization", &bearer)], ""),
        (&[("authorization", "Digest a=b"), ("authorization", "Bearer foreign")], ""),
        (&[("x-api-key", KEY)], &*in_query),
        (&[("x-api-key", KEY)], "api_key=nonsense"),
        (&[("authorization", &bearer)], &in_query.replace('_', "%5F")),
        (&[], &twice),
        (&[], &escaped),
    ] {
        assert_eq!(seen(fields, query, &rule), "twice", "{fields:?} {query}");
    }
}

#[test]
fn the_bare_key_may_stand_in_authorization() {
    let rule = CredentialRule::default().in_header(AUTHORIZATION, "Authorization");
    for (value, text) in [
        ("k", "k"),
        ("Bearer k", "k"),
        ("Basic azpw", "k"),
        ("Basic %%%", ""),
        ("Digest a=b", "Digest a=b"),
        ("Bearer", "Bearer"),
    ] {
        let expected = format!("key Authorization {text}");
        assert_eq!(seen(&[("authorization", value)], "", &rule), expected);
    }
    let mut fields = headers(&[("authorization", "k"), ("accept", "a/b")]);
    strip(&mut fields, CredentialPlace::Authorization, &rule);
    assert_eq!(fields, headers(&[("accept", "a/b")]));
}

#[test]
fn the_upstream_never_sees_the_key_and_sees_all_else() {
    let rule = CredentialRule::default();
    let bearer = format!("Bearer {KEY}");
    for (fields, kept) in [
        (
            &[("x-api-key", KEY), ("authorization", "Bearer foreign")][..],
            &[("authorization", "Bearer foreign")][..],
        ),
        (&[("x-api-key", "foreign"), ("authorization", &bearer)], &[("x-api-key", "foreign")]),
        (&[("authorization", &bearer), ("accept", "a/b")], &[("accept", "a/b")]),
    ] {
        let sent = headers(fields);
        let list = fields_of(&sent);
        let Presented::Key(key) = find(Fields(&list), None, &rule) else { panic!("no key") };
        let mut left = sent.clone();
        strip(&mut left, key.place, &rule);
        assert_eq!(left, headers(kept));
    }
}

#[test]
fn a_caller_without_a_key_is_told_where_this_api_reads_it() {
    let rule = CredentialRule::default();
    insta::assert_snapshot!(rule.how_to_send(), @"An API key is needed. Send it in the X-API-Key header or as a bearer token.");
    let rule = rule.in_header(HeaderName::from_static("x-my-key"), "X-My-Key");
    insta::assert_snapshot!(rule.how_to_send(), @"An API key is needed. Send it in the X-My-Key header or as a bearer token.");
    let rule = CredentialRule { query_parameter: Some("token".into()), ..rule };
    insta::assert_snapshot!(rule.how_to_send(), @"An API key is needed. Send it in the X-My-Key header, as a bearer token, or in the query parameter token.");
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

fn pair_in_query() -> CredentialRule {
    let pair = PairRule::Query { id: "app_id".into(), secret: "app_key".into() };
    CredentialRule { pair: Some(pair), ..with_query() }
}

fn pair_in_headers() -> CredentialRule {
    let [id, secret] = ["app-id", "app-key"].map(HeaderName::from_static);
    CredentialRule { pair: Some(PairRule::Headers { id, secret }), ..with_query() }
}

#[test]
fn a_key_in_two_parts_is_one_text_wherever_they_stand() {
    let rule = pair_in_query();
    for (query, expected) in [
        ("app_id=a&app_key=k", "key Pair a:k"),
        ("x=1&app%5Fkey=k%2B%3a&y&app_id=%61", "key Pair a:k+:"),
        ("app_id=&app_key=", "nothing"),
        ("app_id", "nothing"),
        // Half of one is meant as a key, and is none; so is one that two pairs would read as.
        ("app_id=a", "key Pair "),
        ("app_id=a&app_key=", "key Pair "),
        ("app_key=k", "key Pair "),
        ("app_id=a:b&app_key=k", "key Pair "),
        ("app_id=a&app_key=k&app_id=a", "twice"),
        ("app_id=a&app_key=k&app_key", "twice"),
        ("api_key=k&app_id=a&app_key=k", "twice"),
    ] {
        assert_eq!(seen(&[], query, &rule), expected, "{query}");
    }
    let rule = pair_in_headers();
    for (fields, expected) in [
        (&[("app-id", "a"), ("app-key", " k ")][..], "key Pair a:k"),
        (&[("app-id", ""), ("app-key", " ")], "nothing"),
        (&[("app-id", "a")], "key Pair "),
        (&[("app-id", "a"), ("app-key", "k"), ("app-key", "k")], "twice"),
        (&[("app-id", "a"), ("app-key", "k"), ("x-api-key", KEY)], "twice"),
    ] {
        assert_eq!(seen(fields, "", &rule), expected, "{fields:?}");
    }
    let long = "k".repeat(254);
    assert_eq!(seen(&[], &format!("app_id=a&app_key={long}"), &pair_in_query()), "key Pair ");
    let fits = format!("app_id=a&app_key={}", &long[1..]);
    assert_eq!(seen(&[], &fits, &pair_in_query()), format!("key Pair a:{}", &long[1..]));
}

#[test]
fn basic_authentication_carries_both_parts_where_keys_come_in_two() {
    let chosen = pair_in_query().in_header(AUTHORIZATION, "Authorization");
    for (basic, expected) in [
        ("a:k", "key Authorization a:k"),
        ("a:k:l", "key Authorization a:k:l"),
        ("user-key:", "key Authorization user-key"),
        ("user-key", "key Authorization user-key"),
        (&format!("a:{KEY}"), &format!("key Authorization {KEY}")),
        (&format!("{KEY}:x"), &format!("key Authorization {KEY}")),
        (":k", "key Authorization "),
    ] {
        let field = format!("Basic {}", base64(basic));
        assert_eq!(seen(&[("authorization", &field)], "", &chosen), expected, "{basic}");
        // Elsewhere what speaks of no key is the API's own.
        if !basic.contains(KEY) {
            assert_eq!(seen(&[("authorization", &field)], "", &pair_in_query()), "nothing");
        }
    }
}

#[test]
fn both_parts_of_a_key_are_taken_out_and_all_else_stays() {
    let rule = pair_in_query();
    let left = strip_query("a=1&app_id=a&b&app%5fkey=k&api_key=", &rule);
    assert_eq!(left.as_deref(), Some("a=1&b"));
    assert_eq!(strip_query("app_id=a&app_key=k", &rule), None);
    let mut fields = headers(&[("app-id", "a"), ("app-key", "k"), ("accept", "a/b")]);
    strip(&mut fields, CredentialPlace::Pair, &pair_in_headers());
    assert_eq!(fields, headers(&[("accept", "a/b")]));
    assert_eq!(strip_query("app_id=a", &pair_in_headers()).as_deref(), Some("app_id=a"));
}

#[test]
fn a_caller_without_a_key_is_told_of_both_parts() {
    insta::assert_snapshot!(pair_in_query().how_to_send(), @"An API key is needed. Send it in the X-API-Key header, as a bearer token, in the query parameter api_key, or as the query parameters app_id and app_key together.");
    let rule = CredentialRule { query_parameter: None, ..pair_in_headers() };
    insta::assert_snapshot!(rule.how_to_send(), @"An API key is needed. Send it in the X-API-Key header, as a bearer token, or in the headers app-id and app-key together.");
}

#[test]
fn a_credential_does_not_print_its_text() {
    let text = Cow::Borrowed(&b"secret"[..]);
    let credential = Credential { text, place: CredentialPlace::Query };
    assert_eq!(format!("{credential:?}"), "Credential { text: [redacted], place: Query }");
}

proptest! {
    #[test]
    fn no_key_is_found_in_a_stripped_request(
        query in "([a&=%5Fapi_key+]|app_id=|app_key=|&){0,40}",
        scheme in "(Bearer|Basic|Digest)? ?(ks_)?[a-zA-Z0-9=:]{0,12}",
        has_pair in any::<bool>(),
    ) {
        let rule = if has_pair { pair_in_query() } else { with_query() };
        let mut fields = headers(&[("authorization", &scheme)]);
        let sent = fields.clone();
        if let Presented::Key(found) = find(Fields(&fields_of(&sent)), Some(&query), &rule) {
            strip(&mut fields, found.place, &rule);
            let left = strip_query(&query, &rule);
            let left = left.as_deref().filter(|_| may_stand_in_query(found.place));
            let list = fields_of(&fields);
            prop_assert_eq!(find(Fields(&list), left, &rule), Presented::Nothing);
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
        for rule in [with_query(), pair_in_query(), pair_in_headers()] {
            let _ = find(Fields(&fields_of(&fields)), Some(&query), &rule);
            let _ = strip_query(&query, &rule);
        }
    }
}

#[test]
fn a_key_of_another_system_is_found_where_the_owner_chose_and_looked_up_in_the_usual_field() {
    let other = "8c2f01de77b0a4419ee1";
    let basic =
        |user: &str, password: &str| format!("Basic {}", base64(&format!("{user}:{password}")));
    let chosen = with_query().in_header(HeaderName::from_static("x-my-key"), "X-My-Key");
    assert_eq!(seen(&[("x-my-key", other)], "", &chosen), format!("key Header {other}"));
    let query = format!("api_key={other}");
    assert_eq!(seen(&[], &query, &chosen), format!("key Query {other}"));
    // A form parser reads `+` as a blank.
    assert_eq!(seen(&[], "api_key=a+b%2B", &chosen), "key Query a b+");
    assert_eq!(seen(&[("x-api-key", other)], "", &with_query()), format!("other Header {other}"));
    for value in [other.to_owned(), format!("Bearer {other}"), basic(other, "p"), basic("u", other)]
    {
        assert_eq!(seen(&[("authorization", &value)], "", &chosen), "nothing", "{value}");
    }
    let in_authorization = CredentialRule::default().in_header(AUTHORIZATION, "Authorization");
    for value in [other.to_owned(), format!("Bearer {other}"), basic(other, "p")] {
        let found = seen(&[("authorization", &value)], "", &in_authorization);
        assert_eq!(found, format!("key Authorization {other}"));
    }
}
