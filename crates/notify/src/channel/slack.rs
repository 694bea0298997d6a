//! An incoming webhook of Slack, whose address is the secret.
//!
//! A text is escaped and cut in one step, so that no escape is cut in half.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{
    Attempt, ChannelKind, Destination, Destined, Field, Outgoing, one, secret_address,
};
use super::value::{HookUrl, secret_text};
use crate::render::text::{last_writes, whole_within};
use crate::render::{Shown, fitted, utf16};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "slack",
    about: "Slack.",
    fields: &[Field::secret("url")],
    target: secret_address,
    audience: one,
    destination,
};

/// Slack: a header has 150 characters, a section's text 3000, a field's 2000, a section 10 fields.
/// <https://docs.slack.dev/reference/block-kit/blocks>
const HEADER_MAX: usize = 150;
const SECTION_MAX: usize = 3000;
const FIELD_MAX: usize = 2000;
const FIELDS_MAX: usize = 10;

/// One receiver.
#[derive(Debug)]
struct Slack {
    /// The address that the service gave.
    url: HookUrl,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Slack { url: secret_text(settings, "url")?.parse()? }))
}

impl Destination for Slack {
    fn url(&self) -> Option<&Url> {
        Some(self.url.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let url = self.url.url().clone();
        let document = document(attempt.shown);
        Ok(HttpRequest::json(Peer::Hook, url, &document).hiding_address().into())
    }
}

/// Blocks for an incoming webhook of Slack.
fn document(shown: &Shown) -> Value {
    let mrkdwn = |text: &str, max| json!({ "type": "mrkdwn", "text": fitted(text, max, utf16, in_mrkdwn), "verbatim": true });
    let mut blocks = vec![
        json!({ "type": "header", "text": {
            "type": "plain_text", "emoji": false,
            "text": fitted(&shown.title, HEADER_MAX, utf16, String::from),
        }}),
        json!({ "type": "section", "text": mrkdwn(&shown.sentence, SECTION_MAX) }),
    ];
    if !shown.facts.is_empty() {
        let facts = shown.facts.iter().take(FIELDS_MAX);
        let facts = facts.map(|(name, value)| mrkdwn(&format!("{name}\n{value}"), FIELD_MAX));
        blocks.push(json!({ "type": "section", "fields": facts.collect::<Vec<_>>() }));
    }
    if !shown.writes.is_empty() {
        blocks.push(json!({ "type": "section", "text": mrkdwn(&last_writes(shown), SECTION_MAX) }));
    }
    // Buttons of an app without an interactivity address show a warning when clicked; links do not.
    let links = shown.links.iter().map(|link| {
        let label = fitted(&link.label, 75, utf16, in_mrkdwn);
        format!("<{}|{label}>", link.url.replace('&', "&amp;"))
    });
    let links = whole_within(links, " · ", SECTION_MAX);
    if !links.is_empty() {
        let text = json!({ "type": "mrkdwn", "text": links, "verbatim": true });
        blocks.push(json!({ "type": "section", "text": text }));
    }
    json!({
        // What notifications show; blocks are what the channel shows.
        "text": fitted(&shown.title, SECTION_MAX, utf16, in_mrkdwn),
        "blocks": blocks,
        "unfurl_links": false,
        "unfurl_media": false,
    })
}

/// Slack obeys three characters (`<!channel>`, `<@U123>`), and marks, which a reader sees through.
fn in_mrkdwn(c: char) -> String {
    match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;
    use crate::render::{example, hostile};

    fn length(value: &Value) -> usize {
        utf16(value.as_str().unwrap())
    }

    #[test]
    fn its_form() {
        let message = example();
        let shown = Shown::of(&message);
        insta::assert_snapshot!(serde_json::to_string_pretty(&document(&shown)).unwrap());
    }

    #[test]
    fn a_name_is_shown_and_not_obeyed() {
        let name = "<!channel> @everyone *b* [a](b) <b>x</b> & @admin";
        let message = Message { sentence: name.to_owned(), ..example() };
        let shown = Shown::of(&message);
        assert_eq!(
            document(&shown)["blocks"][1]["text"]["text"],
            "&lt;!channel&gt; @everyone *b* [a](b) &lt;b&gt;x&lt;/b&gt; &amp; @admin"
        );
    }

    proptest! {
        #[test]
        fn it_is_kept_within_its_limits(message in hostile()) {
            let document = document(&Shown::of(&message));
            let blocks = document["blocks"].as_array().unwrap();
            prop_assert!(blocks.len() <= 50 && document["text"].as_str().unwrap().len() <= 40_000);
            for block in blocks {
                if block["type"] == "header" {
                    prop_assert!((1..=150).contains(&length(&block["text"]["text"])));
                } else if let Some(fields) = block["fields"].as_array() {
                    prop_assert!((1..=10).contains(&fields.len()));
                    for field in fields {
                        prop_assert!((1..=2000).contains(&length(&field["text"])));
                    }
                } else {
                    prop_assert!(length(&block["text"]["text"]) <= 3000);
                }
            }
            // The header is plain text, in which Slack obeys nothing.
            let text = format!("{} {}", document["text"], json!(blocks[1..]));
            prop_assert!(!text.contains("<!") && !text.contains("<@"));
        }
    }
}
