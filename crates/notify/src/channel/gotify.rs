//! An application of a Gotify server.

use http::HeaderName;
use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, Outgoing, one, url_setting};
use super::value::{ChannelSecret, HookUrl, token};
use crate::message::Urgency;
use crate::render::Shown;
use crate::render::text::body;
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "gotify",
    about: "Gotify.",
    fields: &[Field::url(), Field::secret("token")],
    target: url_setting,
    audience: one,
    destination,
};

const GOTIFY_KEY: HeaderName = HeaderName::from_static("x-gotify-key");

/// One receiver.
#[derive(Debug)]
struct Gotify {
    /// The server's root.
    server: HookUrl,
    /// The application's token.
    token: ChannelSecret,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Gotify { server: settings.text("url").parse()?, token: token(settings)? }))
}

impl Destination for Gotify {
    fn url(&self) -> Option<&Url> {
        Some(self.server.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let document = document(attempt.shown, attempt.message.urgency);
        let url = self.server.with(&["message"]);
        let request = HttpRequest::json(Peer::Service, url, &document);
        Ok(request.with(GOTIFY_KEY, self.token.expose()).hiding(self.token.expose()).into())
    }
}

/// A message for Gotify, which publishes no limit and is sent what fits ntfy.
fn document(shown: &Shown, urgency: Urgency) -> Value {
    let priority = match urgency {
        Urgency::High => 8,
        Urgency::Normal => 5,
        Urgency::Low => 2,
    };
    let mut said = body(shown);
    for link in &shown.links {
        said.push_str(&format!("\n{}: {}", link.label, link.url));
    }
    let mut extras = json!({ "client::display": { "contentType": "text/plain" } });
    if let Some(link) = shown.view() {
        extras["client::notification"] = json!({ "click": { "url": link.url } });
    }
    json!({ "title": shown.title, "message": said, "priority": priority, "extras": extras })
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
            serde_json::to_string_pretty(&document(&shown, message.urgency)).unwrap()
        );
    }

    proptest! {
        #[test]
        fn it_is_kept_small(message in hostile()) {
            let length = document(&Shown::of(&message), message.urgency).to_string().len();
            prop_assert!(length <= 32_000, "{}", length);
        }
    }
}
