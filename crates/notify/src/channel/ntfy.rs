//! A topic of an ntfy server.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing, one};
use super::value::{ChannelSecret, HookUrl, optional_secret};
use crate::message::Urgency;
use crate::render::text::body;
use crate::render::{Shown, fitted};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "ntfy",
    about: "ntfy.",
    fields: &[
        Field::url(),
        Field::required("topic", FieldForm::Line, "keystile"),
        Field::optional("token", FieldForm::Secret, ""),
    ],
    target: |settings| format!("{}/{}", settings.text("url"), settings.text("topic")),
    audience: one,
    destination,
};

/// A message over 4096 bytes becomes an attachment, so the whole document stays below; 3 actions.
/// <https://docs.ntfy.sh/config/#message-limits>
const BYTES_MAX: usize = 4096;
const ACTIONS_MAX: usize = 3;

/// One receiver.
#[derive(Debug)]
struct Ntfy {
    /// The server's root.
    server: HookUrl,
    /// The topic, which on a public server is a password.
    topic: ChannelSecret,
    /// An access token, where the topic needs one.
    token: Option<ChannelSecret>,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Ntfy {
        server: settings.text("url").parse()?,
        topic: ChannelSecret::new(settings.text("topic")),
        token: optional_secret(settings, "token")?,
    }))
}

impl Destination for Ntfy {
    fn url(&self) -> Option<&Url> {
        Some(self.server.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let document = document(attempt.shown, self.topic.expose(), attempt.message.urgency);
        let request = HttpRequest::json(Peer::Service, self.server.url().clone(), &document);
        let request = request.hiding(self.topic.expose());
        Ok(match &self.token {
            Some(token) => request.bearer(token.expose()).into(),
            None => request.into(),
        })
    }
}

/// A message for ntfy, to be posted to the server's root.
fn document(shown: &Shown, topic: &str, urgency: Urgency) -> Value {
    let (priority, tag) = match urgency {
        Urgency::High => (5, "lock"),
        Urgency::Normal => (3, "pencil2"),
        Urgency::Low => (2, "pencil2"),
    };
    let actions = shown
        .links
        .iter()
        .take(ACTIONS_MAX)
        .map(|link| json!({ "action": "view", "label": link.label, "url": link.url }));
    let mut actions = actions.collect::<Vec<_>>();
    let body = body(shown);
    let mut room = BYTES_MAX / 2;
    loop {
        let mut document = json!({
            "topic": topic,
            "title": shown.title,
            "message": fitted(&body, room, str::len, String::from),
            "tags": [tag],
            "priority": priority,
            "actions": actions,
        });
        if let Some(link) = shown.view().filter(|_| !actions.is_empty()) {
            document["click"] = json!(link.url);
        }
        if document.to_string().len() <= BYTES_MAX || (room < 256 && actions.is_empty()) {
            return document;
        }
        // Addresses may be long: the text gives way down to a few lines, then the buttons.
        if room >= 256 {
            room /= 2;
        } else {
            actions.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::{example, hostile};

    #[test]
    fn its_form() {
        let message = example();
        let shown = Shown::of(&message);
        insta::assert_snapshot!(
            serde_json::to_string_pretty(&document(&shown, "alerts", message.urgency)).unwrap()
        );
    }

    proptest! {
        #[test]
        fn it_is_kept_within_its_limits(message in hostile()) {
            let document = document(&Shown::of(&message), &"t".repeat(64), message.urgency);
            prop_assert!(document.to_string().len() <= 4096);
            prop_assert!(document["actions"].as_array().unwrap().len() <= 3);
        }
    }
}
