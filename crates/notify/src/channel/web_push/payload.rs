//! The payload of a push message.
//!
//! One document serves both ways of showing it. Safari reads it by itself as a declarative push message
//! (`"web_push": 8030`) and opens `navigate`; elsewhere the service worker shows `notification`, whose
//! members are those of `showNotification`, and opens the `navigate` of the action that was clicked.

use serde_json::{Value, json};

use crate::message::Urgency;
use crate::render::{Shown, fitted};

/// What fits into the one record of 4096 bytes that every push service takes (RFC 8291, section 4).
const PAYLOAD_BYTES_MAX: usize = 3993;
const BODY_BYTES_MAX: usize = 600;
/// Browsers show no more.
const ACTIONS_MAX: usize = 2;

/// The payload. Messages with one `tag` replace each other on the screen; `home` is opened where a
/// message has no link.
pub(super) fn payload(shown: &Shown, tag: &str, urgency: Urgency, home: &str) -> Vec<u8> {
    let mut body = shown.sentence.clone();
    for (name, value) in &shown.facts {
        body.push_str(&format!("\n{name}: {value}"));
    }
    let actions = shown.links.iter().take(ACTIONS_MAX).enumerate();
    let actions = actions.map(|(number, link)| {
        json!({ "action": format!("link-{number}"), "title": link.label, "navigate": link.url })
    });
    let mut actions = actions.collect::<Vec<Value>>();
    let mut body_bytes_max = BODY_BYTES_MAX;
    loop {
        let document = json!({
            "web_push": 8030,
            "notification": {
                "title": shown.title,
                "body": fitted(&body, body_bytes_max, str::len, String::from),
                "navigate": shown.view().map_or(home, |link| &link.url),
                "lang": "en",
                "dir": "ltr",
                "tag": tag,
                "renotify": true,
                "requireInteraction": urgency == Urgency::High,
                "silent": urgency == Urgency::Low,
                "actions": actions,
            },
        });
        let bytes = document.to_string().into_bytes();
        // Escapes and long addresses may add up: the body gives way first, then the buttons.
        if bytes.len() <= PAYLOAD_BYTES_MAX || (body_bytes_max == 0 && actions.is_empty()) {
            return bytes;
        }
        if body_bytes_max > 0 {
            body_bytes_max /= 2;
        } else {
            actions.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{example, hostile};
    use proptest::prelude::*;

    const HOME: &str = "https://gate.example.org/";

    #[test]
    fn a_push_has_the_first_words_of_the_subject_and_its_buttons() {
        let bytes = payload(&Shown::of(&example()), "tag", Urgency::High, HOME);
        let document: Value = serde_json::from_slice(&bytes).unwrap();
        insta::assert_snapshot!(serde_json::to_string_pretty(&document).unwrap());
    }

    proptest! {
        #[test]
        fn every_push_fits_and_opens_something(message in hostile()) {
            let tag = "t".repeat(32);
            let bytes = payload(&Shown::of(&message), &tag, message.urgency, HOME);
            prop_assert!(bytes.len() <= PAYLOAD_BYTES_MAX, "{}", bytes.len());
            let document: Value = serde_json::from_slice(&bytes).unwrap();
            let shown = &document["notification"];
            prop_assert!(shown["title"].is_string() && shown["navigate"].is_string());
            prop_assert!(shown["actions"].as_array().unwrap().len() <= 2);
        }
    }
}
