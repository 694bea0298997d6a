#![no_main]
//! Any text may be given as a configuration: it is read, or its mistakes are told.

use std::path::Path;

use keystile::config::{Colors, from_text};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    // Files that the text names are looked at; none is in this folder.
    if let Err(report) = from_text(text, "keystile.toml", Path::new("/nonexistent")) {
        assert!(!report.problems().is_empty());
        assert!(!report.render(80, Colors::Off).is_empty());
    }
});
