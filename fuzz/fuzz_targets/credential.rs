#![no_main]
//! A key that was found and taken out is not found again.

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use keystile_core::request::credential::{
    CredentialRule, PairRule, Presented, find, may_stand_in_query, strip, strip_query,
};
use keystile_core::request::head::{Fields, fields_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (Vec<u8>, Vec<u8>, String)| {
    let (key, authorization, query) = parts;
    let pair = PairRule::Query { id: "app_id".into(), secret: "app_key".into() };
    let rule = CredentialRule {
        query_parameter: Some("api_key".into()),
        pair: query.contains("app_").then_some(pair),
        ..CredentialRule::default()
    };
    let mut headers = HeaderMap::new();
    for (name, text) in [(rule.header.clone(), key), (AUTHORIZATION, authorization)] {
        if let Ok(value) = HeaderValue::from_bytes(&text) {
            headers.append(name, value);
        }
    }
    let sent = headers.clone();
    let fields = fields_of(&sent);
    let Presented::Key(found) = find(Fields(&fields), Some(&query), &rule) else {
        return;
    };
    let left = if may_stand_in_query(found.place) {
        strip_query(&query, &rule).map(|query| query.into_owned())
    } else {
        Some(query.clone())
    };
    strip(&mut headers, found.place, &rule);
    let fields = fields_of(&headers);
    let again = find(Fields(&fields), left.as_deref(), &rule);
    assert!(matches!(again, Presented::Nothing | Presented::Other(_)), "{again:?}");
});
