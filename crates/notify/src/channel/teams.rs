//! A workflow of Microsoft Teams that posts cards. Its address is the secret.

use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{
    Attempt, ChannelKind, Destination, Destined, Field, Outgoing, one, secret_address,
};
use super::value::{HookUrl, secret_text};
use crate::render::Shown;
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "teams",
    about: "Microsoft Teams.",
    fields: &[Field::secret("url")],
    target: secret_address,
    audience: one,
    destination,
};

/// One receiver.
#[derive(Debug)]
struct Teams {
    /// The address that the service gave.
    url: HookUrl,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Teams { url: secret_text(settings, "url")?.parse()? }))
}

impl Destination for Teams {
    fn url(&self) -> Option<&Url> {
        Some(self.url.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        let url = self.url.url().clone();
        let document = document(attempt.shown);
        Ok(HttpRequest::json(Peer::Hook, url, &document).hiding_address().into())
    }
}

/// An adaptive card for a workflow of Teams. At most 28 KB, which the bounds of [`Shown`] keep.
/// <https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook>
fn document(shown: &Shown) -> Value {
    // A rich text block takes its runs as they are; a text block and a fact set would obey Markdown.
    let run =
        |text: &str, weight: &str| json!({ "type": "TextRun", "text": text, "weight": weight });
    let block = |runs: Vec<Value>| json!({ "type": "RichTextBlock", "inlines": runs });
    let mut title = run(&shown.title, "Bolder");
    title["size"] = json!("Medium");
    let mut body = vec![block(vec![title]), block(vec![run(&shown.sentence, "Default")])];
    body.extend(shown.facts.iter().map(|(name, value)| {
        block(vec![run(&format!("{name}: "), "Bolder"), run(value, "Default")])
    }));
    if !shown.writes.is_empty() {
        body.push(block(vec![run(shown.writes_heading(), "Bolder")]));
        body.extend(shown.writes.iter().map(|write| block(vec![run(&write.line(), "Default")])));
    }
    let actions = shown
        .links
        .iter()
        .map(|link| json!({ "type": "Action.OpenUrl", "title": link.label, "url": link.url }));
    json!({
        "type": "message",
        "attachments": [{
            "contentType": "application/vnd.microsoft.card.adaptive",
            "contentUrl": null,
            "content": {
                "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
                "type": "AdaptiveCard",
                "version": "1.4",
                "body": body,
                "actions": actions.collect::<Vec<_>>(),
            },
        }],
    })
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
        insta::assert_snapshot!(serde_json::to_string_pretty(&document(&shown)).unwrap());
    }

    proptest! {
        #[test]
        fn it_is_kept_within_its_limit(message in hostile()) {
            let length = document(&Shown::of(&message)).to_string().len();
            prop_assert!(length <= 28 * 1024, "{}", length);
        }
    }
}
