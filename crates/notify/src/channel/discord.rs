//! A webhook of Discord, whose address is the secret.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{
    Attempt, ChannelKind, Destination, Destined, Field, Outgoing, one, secret_address,
};
use super::value::{HookUrl, secret_text};
use crate::message::{Message, Urgency};
use crate::render::text::{last_writes, whole_within};
use crate::render::{Shown, fitted, utf16};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "discord",
    about: "Discord.",
    fields: &[Field::secret("url")],
    target: secret_address,
    audience: one,
    destination,
};

/// Discord: an embed's title has 256 characters, its description 4096, it has 25 fields with names of
/// 256 and values of 1024, and all of it together 6000.
/// <https://discord.com/developers/docs/resources/message#embed-object-embed-limits>
const TITLE_MAX: usize = 256;
const DESCRIPTION_MAX: usize = 2400;
const NAME_MAX: usize = 80;
const VALUE_MAX: usize = 190;

/// One receiver.
#[derive(Debug)]
struct Discord {
    /// The address that the service gave.
    url: HookUrl,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Discord { url: secret_text(settings, "url")?.parse()? }))
}

impl Destination for Discord {
    fn url(&self) -> Option<&Url> {
        Some(self.url.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let url = self.url.url().clone();
        let document = document(attempt.shown, attempt.message);
        Ok(HttpRequest::json(Peer::Hook, url, &document).hiding_address().into())
    }
}

/// An embed for a webhook of Discord.
fn document(shown: &Shown, message: &Message) -> Value {
    let color = match message.urgency {
        Urgency::High => 0x00c0_392b,
        Urgency::Normal => 0x001f_5fbf,
        Urgency::Low => 0x007f_8c8d,
    };
    let links = shown.links.iter().map(|link| {
        format!("[{}]({})", fitted(&link.label, NAME_MAX, utf16, in_markdown), link.url)
    });
    let links = whole_within(links, " · ", DESCRIPTION_MAX / 2);
    let mut said = shown.sentence.clone();
    if !shown.writes.is_empty() {
        said.push('\n');
        said.push_str(&last_writes(shown));
    }
    let room = DESCRIPTION_MAX - utf16(&links) - 2;
    let said = fitted(&said, room, utf16, in_markdown);
    // A value may not be empty.
    let facts = shown.facts.iter().filter(|(name, value)| !name.is_empty() && !value.is_empty());
    let fields = facts.map(|(name, value)| {
        json!({
            "name": fitted(name, NAME_MAX, utf16, in_markdown),
            "value": fitted(value, VALUE_MAX, utf16, in_markdown),
            "inline": true,
        })
    });
    let mut embed = json!({
        "title": fitted(&shown.title, TITLE_MAX, utf16, in_markdown),
        "description": format!("{said}\n\n{links}").trim_end(),
        "color": color,
        "timestamp": message.time.to_string(),
        "fields": fields.collect::<Vec<_>>(),
    });
    if let Some(link) = shown.view() {
        embed["url"] = json!(link.url);
    }
    json!({ "username": "Keystile", "embeds": [embed], "allowed_mentions": { "parse": [] } })
}

/// Discord takes a backslash before any punctuation as "the character itself".
fn in_markdown(c: char) -> String {
    if c.is_ascii_punctuation() && !matches!(c, '.' | ',' | '/' | ';' | '?' | '\'' | '%') {
        format!("\\{c}")
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::{example, hostile};

    fn length(value: &Value) -> usize {
        utf16(value.as_str().unwrap())
    }

    #[test]
    fn its_form() {
        let message = example();
        let shown = Shown::of(&message);
        insta::assert_snapshot!(serde_json::to_string_pretty(&document(&shown, &message)).unwrap());
    }

    #[test]
    fn a_name_is_shown_and_not_obeyed() {
        let name = "<!channel> @everyone *b* [a](b) <b>x</b> & @admin";
        let message = Message { sentence: name.to_owned(), ..example() };
        let shown = Shown::of(&message);
        let discord = document(&shown, &message);
        let said = discord["embeds"][0]["description"].as_str().unwrap();
        assert!(said.starts_with(r"\<\!channel\> \@everyone \*b\* \[a\]\(b\) \<b\>x\<"), "{said}");
        assert_eq!(discord["allowed_mentions"], json!({ "parse": [] }));
    }

    proptest! {
        #[test]
        fn it_is_kept_within_its_limits(message in hostile()) {
            let document = document(&Shown::of(&message), &message);
            let embed = &document["embeds"][0];
            let mut total = length(&embed["title"]) + length(&embed["description"]);
            prop_assert!(length(&embed["title"]) <= 256 && length(&embed["description"]) <= 4096);
            let fields = embed["fields"].as_array().unwrap();
            prop_assert!(fields.len() <= 25);
            for field in fields {
                prop_assert!((1..=256).contains(&length(&field["name"])));
                prop_assert!((1..=1024).contains(&length(&field["value"])));
                total += length(&field["name"]) + length(&field["value"]);
            }
            prop_assert!(total <= 6000, "{}", total);
        }
    }
}
