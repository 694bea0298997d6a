#![no_main]
//! No body is free that may write: it is counted, refused, or costs the maximum. What makes its reading
//! doubtful never makes it cheaper. The first line of an input is a media type, the second a query string,
//! the rest a body.

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use keystile_core::cost::{BodyCharge, CountedCall, cost_of};
use keystile_core::policy::operation::{BodyKind, BodyRule};
use keystile_core::request::head::{Fields, fields_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.splitn(3, |byte| *byte == b'\n');
    let (Some(content_type), Some(query), Some(body)) = (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    let Ok(query) = std::str::from_utf8(query) else { return };
    let kinds = [
        BodyKind::Items { at: None },
        BodyKind::Items { at: Some("a".to_owned()) },
        BodyKind::JsonRpc,
        BodyKind::GraphQl,
    ];
    let named = |content_type: &[u8]| {
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        headers
    };
    let cost = |rule: &BodyRule, headers: &HeaderMap, query: &str| {
        let cost_of_none = u32::from(rule.kind != BodyKind::GraphQl);
        let charge = BodyCharge { rules: vec![rule.clone()], cost_min: 1, cost_of_none };
        let fields = fields_of(headers);
        let fields = Fields(&fields);
        cost_of(&charge, &CountedCall { method: &Method::POST, fields, query, body }).ok()
    };
    for kind in kinds {
        let least = u32::from(kind != BodyKind::GraphQl);
        let strict = BodyRule { kind, cost_max: None };
        let lax = BodyRule { cost_max: Some(9), ..strict.clone() };
        for media_type in [content_type, b"application/json", b"application/graphql"] {
            let headers = named(media_type);
            let counted = cost(&strict, &headers, query);
            let bounded = cost(&lax, &headers, query).expect("a maximum is set");
            assert!(bounded >= least);
            assert_eq!(counted.unwrap_or(9), bounded);
            let mut coded = headers.clone();
            coded.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            if !body.is_empty() {
                assert_eq!(cost(&strict, &coded, query), None);
            }
            let twice = format!("{query}&QUERY=mutation%7Ba%7D");
            assert!(strict.kind != BodyKind::GraphQl || cost(&strict, &headers, &twice).is_none());
        }
    }
});
