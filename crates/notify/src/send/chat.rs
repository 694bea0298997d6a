//! Chats and phone services: where each is posted to, and how it knows us.

use http::header::AUTHORIZATION;
use http::{HeaderName, Method};
use serde_json::json;

use super::http::{HttpRequest, Peer};
use crate::channel::{ChannelSecret, ChannelSettings, HookUrl};
use crate::message::Message;
use crate::render::{Shown, chat};

const GOTIFY_KEY: HeaderName = HeaderName::from_static("x-gotify-key");

/// The request for a channel that is a chat or a phone service.
pub(super) fn request(channel: &ChannelSettings, message: &Message, shown: &Shown) -> HttpRequest {
    let urgency = message.urgency;
    let hook = |url: &HookUrl, document| {
        HttpRequest::json(Peer::Hook, url.url().clone(), &document).hiding_address()
    };
    match channel {
        ChannelSettings::Slack { url } => hook(url, chat::slack(shown)),
        ChannelSettings::Discord { url } => hook(url, chat::discord(shown, message)),
        ChannelSettings::Teams { url } => hook(url, chat::teams(shown)),
        ChannelSettings::Ntfy { server, topic, token } => {
            let document = chat::ntfy(shown, topic.expose(), urgency);
            let request = HttpRequest::json(Peer::Service, server.url().clone(), &document);
            let request = request.hiding(topic.expose());
            match token {
                Some(token) => bearer(request, token),
                None => request,
            }
        }
        ChannelSettings::Gotify { server, token } => {
            let document = chat::gotify(shown, urgency);
            let request = HttpRequest::json(Peer::Service, server.with(&["message"]), &document);
            request.with(GOTIFY_KEY, token.expose()).hiding(token.expose())
        }
        ChannelSettings::Telegram { server, token, chat } => {
            let document = chat::telegram(shown, chat, urgency);
            let url = server.with(&[&format!("bot{}", token.expose()), "sendMessage"]);
            HttpRequest::json(Peer::Service, url, &document).hiding(token.expose())
        }
        ChannelSettings::Pushover { server, token, user } => {
            let mut document = chat::pushover(shown, message);
            document["token"] = json!(token.expose());
            document["user"] = json!(user.expose());
            let url = server.with(&["1", "messages.json"]);
            let request = HttpRequest::json(Peer::Service, url, &document);
            request.hiding(token.expose()).hiding(user.expose())
        }
        ChannelSettings::Matrix { server, token, room } => {
            // The id names the transaction: the server takes a repeat for the same message.
            let path = ["_matrix", "client", "v3", "rooms", room, "send", "m.room.message"];
            let mut url = server.with(&path);
            if let Ok(mut path) = url.path_segments_mut() {
                path.push(&message.id);
            }
            let mut request = HttpRequest::json(Peer::Service, url, &chat::matrix(shown));
            request.method = Method::PUT;
            bearer(request, token)
        }
        ChannelSettings::Email(_)
        | ChannelSettings::WebPush { .. }
        | ChannelSettings::Webhook { .. } => unreachable!("the caller knows that it is a chat"),
    }
}

fn bearer(request: HttpRequest, token: &ChannelSecret) -> HttpRequest {
    let token = token.expose();
    request.with(AUTHORIZATION, &format!("Bearer {token}")).hiding(token)
}
