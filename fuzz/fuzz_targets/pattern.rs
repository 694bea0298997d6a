#![no_main]
//! A rule of a plan reads back as it is shown.

use http::Method;
use keystile_core::policy::operation::ScopedPattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(rule) = text.parse::<ScopedPattern>() else { return };
    assert_eq!(rule.to_string().parse::<ScopedPattern>().as_ref().ok(), Some(&rule));
    assert!(!rule.pattern.has_method(&Method::GET) || rule.pattern.has_method(&Method::HEAD));
});
