#![no_main]
//! Any bytes may be presented as a key, and any 256 bits make one that is read back.

use keystile_core::keys::hash::Pepper;
use keystile_core::keys::text::{KeyPrefix, KeyText, well_formed};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &[u8]| {
    if well_formed(text) {
        assert!(text.is_ascii() && text.iter().filter(|byte| **byte == b'_').count() == 2);
    }
    Pepper::new([7; 32]).hash(text);
    if let Some((random, _)) = text.split_first_chunk() {
        let key = KeyText::from_random(&KeyPrefix::default(), *random);
        assert!(
            well_formed(key.expose().as_bytes()) && key.expose().starts_with(key.display_prefix())
        );
    }
});
