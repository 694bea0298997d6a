//! Whatever is in the file, there is an answer, and soon.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::read;
use crate::config::{Colors, INITIAL_FILE};

/// Each of these is large and has a mistake in every line.
#[test]
fn a_flood_of_mistakes_ends_soon() {
    let keys: Vec<_> = (0..18_000).map(|number| format!("k{number} = 1\n")).collect();
    for text in [
        "[gate]\n".repeat(35_000),
        "a = \n".repeat(50_000),
        "[".repeat(250_000),
        "a.".repeat(125_000),
        format!("a = {}", "[".repeat(250_000)),
        format!("[plan.open]\nallow = [{}]", "'x',".repeat(50_000)),
        format!("[gate]\nlisten = [{}]", "1,".repeat(100_000)),
        keys.concat(),
    ] {
        let start = Instant::now();
        let report = read(&text).expect_err("it is full of mistakes");
        assert!((1..=100).contains(&report.problems().len()));
        assert!(!report.render(80, Colors::Off).is_empty());
        let beginning = &text[..12];
        assert!(start.elapsed() < Duration::from_secs(30), "{beginning:?}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn no_mix_of_known_pieces_panics(pieces in prop::collection::vec(piece(), 0..20)) {
        check(&pieces.concat());
    }

    #[test]
    fn no_damage_to_a_good_file_panics(at in 0..INITIAL_FILE.len(), length in 0..9_usize, with in any::<char>()) {
        let mut text = INITIAL_FILE.to_owned();
        text.replace_range(at..(at + length).min(INITIAL_FILE.len()), &with.to_string());
        check(&text);
    }
}

fn piece() -> impl Strategy<Value = String> {
    const PIECES: &[&str] = &[
        "[api.b]\n",
        "[plan.p]\n",
        "[[api.b.operation]]\n",
        "[gate]\n",
        "upstream = ",
        "allow = ",
        "write_budget = ",
        "match = ",
        "lock = ",
        "listen = ",
        "\n",
        "=",
        "\"",
        "'''",
        "[",
        "]",
        "{",
        "}",
        ",",
        "\"b: GET /é\"",
        "'http://a:1/'",
        "{ quota = '1 per day' }",
        "1",
        "true",
        "'10 s'",
        "\r\n",
        "\u{feff}",
        "\0",
        "é",
        "[\n",
        "body_max = '1 Mib'\n",
    ];
    prop_oneof![prop::sample::select(PIECES).prop_map(str::to_owned), "\\PC{0,4}"]
}

fn check(text: &str) {
    if let Err(report) = read(text) {
        assert!(!report.problems().is_empty());
        for colors in [Colors::Off, Colors::On] {
            assert!(!report.render(80, colors).is_empty());
        }
        assert!(serde_json::to_value(&report).unwrap().is_array());
    }
}
