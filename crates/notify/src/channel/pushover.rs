//! A user or group of Pushover.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing, one};
use super::value::{ChannelSecret, HookUrl, server, token};
use crate::message::{Message, Urgency};
use crate::render::text::body;
use crate::render::{Shown, fitted, utf16};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "pushover",
    about: "Pushover.",
    fields: &[
        Field::required("user", FieldForm::Line, "uQiRzpo4DXghDmr9QzzfQu27cmVRsG"),
        Field::secret("token"),
    ],
    target: |_| "pushover.net".to_owned(),
    audience: one,
    destination,
};

/// Title 250, message 1024, url 512, `url_title` 100. <https://pushover.net/api#limits>
const TITLE_MAX: usize = 250;
const MESSAGE_MAX: usize = 1024;
const URL_BYTES_MAX: usize = 512;
const URL_TITLE_MAX: usize = 100;

/// One receiver.
#[derive(Debug)]
struct Pushover {
    /// `https://api.pushover.net`, or a server of a test.
    server: HookUrl,
    /// The application's token.
    token: ChannelSecret,
    /// The user's or group's key.
    user: ChannelSecret,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Pushover {
        server: server(settings, "https://api.pushover.net")?,
        token: token(settings)?,
        user: ChannelSecret::new(settings.text("user")),
    }))
}

impl Destination for Pushover {
    fn url(&self) -> Option<&Url> {
        Some(self.server.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let (token, user) = (self.token.expose(), self.user.expose());
        let mut document = document(attempt.shown, attempt.message);
        document["token"] = json!(token);
        document["user"] = json!(user);
        let url = self.server.with(&["1", "messages.json"]);
        Ok(HttpRequest::json(Peer::Service, url, &document).hiding(token).hiding(user).into())
    }
}

/// A message for Pushover, without the token and the receiver.
fn document(shown: &Shown, message: &Message) -> Value {
    let priority = match message.urgency {
        Urgency::High => 1,
        Urgency::Normal => 0,
        Urgency::Low => -1,
    };
    let mut document = json!({
        "title": fitted(&shown.title, TITLE_MAX, utf16, String::from),
        "message": fitted(&body(shown), MESSAGE_MAX, utf16, String::from),
        "priority": priority,
        "timestamp": message.time.0.div_euclid(1000),
    });
    let fits = |url: &str| url.len() <= URL_BYTES_MAX;
    if let Some(link) = shown.view().filter(|link| fits(&link.url)) {
        document["url"] = json!(link.url);
        document["url_title"] = json!(fitted(&link.label, URL_TITLE_MAX, utf16, String::from));
    }
    document
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

    proptest! {
        #[test]
        fn it_is_kept_within_its_limits(message in hostile()) {
            let document = document(&Shown::of(&message), &message);
            prop_assert!(length(&document["title"]) <= 250 && length(&document["message"]) <= 1024);
            if let Some(url) = document["url"].as_str() {
                prop_assert!(url.len() <= 512 && length(&document["url_title"]) <= 100);
            }
        }
    }
}
