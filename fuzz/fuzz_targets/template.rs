#![no_main]
//! A path template reads back as it is shown, and any path may be held against any template.

use keystile_core::policy::template::{PathTemplate, TemplateIndex};
use keystile_core::request::grammar::fold_path;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, &str)| {
    let (text, path) = parts;
    let Ok(template) = text.parse::<PathTemplate>() else { return };
    assert_eq!(template.to_string().parse().as_ref(), Ok(&template));
    let is_met = TemplateIndex::exact(std::iter::once(&template)).matches(path).contains(0);
    let folded = TemplateIndex::folded(std::iter::once(&template));
    let is_met_folded = folded.matches(&fold_path(path)).contains(0);
    // Folding may only widen what a rule meets: there is no way around a rule by another spelling.
    assert!(
        !path.starts_with('/')
            || path.contains("//")
            || fold_path(path).contains('%')
            || !is_met
            || is_met_folded,
        "{template} {path}"
    );
});
