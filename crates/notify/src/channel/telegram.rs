//! A chat with a bot of Telegram.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing, one};
use super::value::{ChannelSecret, HookUrl, server, token};
use crate::message::Urgency;
use crate::render::text::{body, in_html, whole_within};
use crate::render::{Shown, fitted, utf16};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "telegram",
    about: "Telegram.",
    fields: &[Field::required("chat", FieldForm::Line, "-1001234567890"), Field::secret("token")],
    target: |settings| format!("chat {}", settings.text("chat")),
    audience: one,
    destination,
};

/// 4096 UTF-16 units after entities. <https://core.telegram.org/bots/api#sendmessage>
const TEXT_MAX: usize = 4096;

/// One receiver.
#[derive(Debug)]
struct Telegram {
    /// `https://api.telegram.org`, or a server of a test.
    server: HookUrl,
    /// The bot's token.
    token: ChannelSecret,
    /// The chat's id, or a channel's `@name`.
    chat: String,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Telegram {
        server: server(settings, "https://api.telegram.org")?,
        token: token(settings)?,
        chat: settings.text("chat").to_owned(),
    }))
}

impl Destination for Telegram {
    fn url(&self) -> Option<&Url> {
        Some(self.server.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let document = document(attempt.shown, &self.chat, attempt.message.urgency);
        let token = self.token.expose();
        let url = self.server.with(&[&format!("bot{token}"), "sendMessage"]);
        Ok(HttpRequest::json(Peer::Service, url, &document).hiding(token).into())
    }
}

/// A message for a chat of Telegram.
fn document(shown: &Shown, chat: &str, urgency: Urgency) -> Value {
    // No buttons: Telegram refuses the whole message when the address of one is not public, as that of
    // a console on a loopback address.
    let links = shown.links.iter().map(|link| {
        let label = fitted(&link.label, 64, utf16, in_telegram);
        format!("{label}: {}", in_html(&link.url))
    });
    let links = whole_within(links, "\n", TEXT_MAX / 2);
    let title = fitted(&shown.title, 900, utf16, in_telegram);
    let room = TEXT_MAX - utf16(&links) - utf16(&title) - "<b></b>\n\n\n\n".len();
    let said = fitted(&body(shown), room, utf16, in_telegram);
    json!({
        "chat_id": chat,
        "text": format!("<b>{title}</b>\n\n{said}\n\n{links}").trim_end(),
        "parse_mode": "HTML",
        "link_preview_options": { "is_disabled": true },
        "disable_notification": urgency == Urgency::Low,
    })
}

/// Telegram makes a mention of `@name` even in text, and nothing but a break between the two stops it.
fn in_telegram(c: char) -> String {
    match c {
        '@' => "@\u{200b}".to_owned(),
        c => in_html(c.encode_utf8(&mut [0; 4])),
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
        insta::assert_snapshot!(
            serde_json::to_string_pretty(&document(&shown, "-100123", message.urgency)).unwrap()
        );
    }

    #[test]
    fn a_name_is_shown_and_not_obeyed() {
        let name = "<!channel> @everyone *b* [a](b) <b>x</b> & @admin";
        let message = Message { sentence: name.to_owned(), ..example() };
        let shown = Shown::of(&message);
        let telegram = document(&shown, "1", message.urgency);
        let said = telegram["text"].as_str().unwrap();
        assert!(said.contains("@\u{200b}everyone *b* [a](b) &#60;b&#62;x&#60;/b&#62;"), "{said}");
    }

    proptest! {
        #[test]
        fn it_is_kept_within_its_limit(message in hostile()) {
            let document = document(&Shown::of(&message), "1", message.urgency);
            prop_assert!((1..=4096).contains(&length(&document["text"])));
        }
    }
}
