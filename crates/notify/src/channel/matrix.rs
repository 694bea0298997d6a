//! A room of Matrix.

use http::Method;
use keystile_core::notifications::channel::ChannelSettings;
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::notifications::claimed::Receiver;
use serde_json::{Value, json};
use url::Url;

use super::kind::{Attempt, ChannelKind, Destination, Destined, Field, FieldForm, Outgoing, one};
use super::value::{ChannelSecret, HookUrl, token};
use crate::render::Shown;
use crate::render::text::{body, in_html};
use crate::send::http::{HttpRequest, Peer};

pub(super) const KIND: ChannelKind = ChannelKind {
    name: "matrix",
    about: "Matrix.",
    fields: &[
        Field::url(),
        Field::required("room", FieldForm::Line, "!abc:example.org"),
        Field::secret("token"),
    ],
    target: |settings| format!("{} at {}", settings.text("room"), settings.text("url")),
    audience: one,
    destination,
};

/// One receiver.
#[derive(Debug)]
struct Matrix {
    /// The homeserver's root.
    server: HookUrl,
    /// The access token of the user who posts.
    token: ChannelSecret,
    /// The room's id, as in `!abc:example.org`.
    room: String,
}

fn destination(settings: &ChannelSettings, _: Option<&Receiver>) -> Destined {
    Ok(Box::new(Matrix {
        server: settings.text("url").parse()?,
        token: token(settings)?,
        room: settings.text("room").to_owned(),
    }))
}

impl Destination for Matrix {
    fn url(&self) -> Option<&Url> {
        Some(self.server.url())
    }

    fn outgoing(&self, attempt: &Attempt<'_>) -> Result<Outgoing, AttemptOutcome> {
        // The id names the transaction: the server takes a repeat for the same message.
        let room = self.room.as_str();
        let path = ["_matrix", "client", "v3", "rooms", room, "send", "m.room.message"];
        let mut url = self.server.with(&path);
        if let Ok(mut path) = url.path_segments_mut() {
            path.push(&attempt.message.id);
        }
        let mut request = HttpRequest::json(Peer::Service, url, &document(attempt.shown));
        request.method = Method::PUT;
        Ok(request.bearer(self.token.expose()).into())
    }
}

/// A message event for a room of Matrix; far below the 65,536 bytes of an event.
fn document(shown: &Shown) -> Value {
    let mut plain = format!("{}\n\n{}", shown.title, body(shown));
    let mut html = format!(
        "<p><strong>{}</strong></p><p>{}</p>",
        in_html(&shown.title),
        in_html(&body(shown)).replace('\n', "<br>")
    );
    for link in &shown.links {
        plain.push_str(&format!("\n{}: {}", link.label, link.url));
        let (url, label) = (in_html(&link.url), in_html(&link.label));
        html.push_str(&format!("<p><a href=\"{url}\">{label}</a></p>"));
    }
    json!({
        "msgtype": "m.text",
        "body": plain,
        "format": "org.matrix.custom.html",
        "formatted_body": html,
        // Says that nobody is mentioned, whatever the text looks like (Matrix 1.7).
        "m.mentions": {},
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::Message;
    use crate::render::{example, hostile};

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
        let matrix = document(&shown);
        assert_eq!(matrix["m.mentions"], json!({}));
        assert!(!matrix["formatted_body"].as_str().unwrap().contains("<b>"));
    }

    proptest! {
        #[test]
        fn it_is_kept_small(message in hostile()) {
            let length = document(&Shown::of(&message)).to_string().len();
            prop_assert!(length <= 60_000, "{}", length);
        }
    }
}
