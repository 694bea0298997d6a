#![no_main]
//! No body is free that may write: it is counted, refused, or costs the maximum.

use keystile_core::cost::{CallText, cost_of};
use keystile_core::operation::{BodyKind, BodyRule};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let kinds = [
        BodyKind::Items { at: None },
        BodyKind::Items { at: Some("a".to_owned()) },
        BodyKind::JsonRpc,
        BodyKind::GraphQl,
    ];
    for kind in kinds {
        let may_read = kind == BodyKind::GraphQl;
        let strict = BodyRule { kind, cost_max: None };
        let lax = BodyRule { cost_max: Some(9), ..strict.clone() };
        let least = u32::from(!may_read);
        let counted = cost_of(&strict, 1, CallText::Body(body));
        let bounded = cost_of(&lax, 1, CallText::Body(body)).expect("a maximum is set");
        assert!(bounded >= least);
        assert_eq!(counted.unwrap_or(9), bounded);
        if let Ok(query) = std::str::from_utf8(body) {
            assert!(cost_of(&lax, 1, CallText::Query(query)).expect("a maximum is set") >= least);
        }
    }
});
