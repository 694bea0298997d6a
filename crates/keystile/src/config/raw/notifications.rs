//! Watch rules and channels as they are written.

use keystile_notify::channel;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};
use serde_json::json;

use crate::config::diagnostic::Place;
use crate::config::value::{OneOrMany, Spanned, TextOr};

/// What the owner is notified about, and on which channels.
///
/// `key_locked`, `storage_failure` and `delivery_failed` notify every channel unless a rule names them. A
/// rule that does replaces this default, and with `tell = []` nobody is notified. When several rules name
/// the same channel for an event, the first one in the file applies.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Watch {
    /// The event. `write`: a write was executed. `first_write_of_key`, `first_write_of_operation`: for the
    /// first time. `budget_level`: a key has used a share of a write budget. `key_locked`, `key_unlocked`.
    /// `write_unknown`: the outcome of a write is unknown. `refusal_burst`: a key or an address is
    /// refused 120 times within a minute. `storage_failure`: writes cannot be recorded. `delivery_failed`:
    /// a message did not arrive within three days, or never will.
    #[schemars(extend("default" = "write"))]
    pub(crate) event: Option<Spanned<WatchEvent>>,
    /// The operations to watch, written as in a plan's `allow`. By default, all. Only for events of
    /// writes.
    #[schemars(extend("examples" = [["bookmarks: DELETE *", "bookmarks: PUT /bookmarks/{id}"]]))]
    pub(crate) on: Option<OneOrMany<String>>,
    /// Only keys on these plans. By default, all.
    #[schemars(extend("examples" = [["open"]]))]
    pub(crate) plans: Option<OneOrMany<String>>,
    /// Only keys of these applications, by name. By default, all.
    #[schemars(extend("examples" = [["reader"]]))]
    pub(crate) applications: Option<OneOrMany<String>>,
    /// Only these keys, by id or by the prefix that listings show. By default, all.
    #[schemars(extend("examples" = [["ks_4fGh2kQz"]]))]
    pub(crate) keys: Option<OneOrMany<String>>,
    /// Only writes that ended like this: `applied`, `refused_by_upstream`, `not_sent`, `unknown`,
    /// `refused`, or `handed_over`. By default, those that were sent. Only for events of writes.
    #[schemars(extend("examples" = [["applied", "unknown"]]))]
    pub(crate) outcome: Option<OneOrMany<WatchOutcome>>,
    /// For `budget_level`: the shares of a budget in percent. The highest one reached is reported, once
    /// per window of the budget.
    #[schemars(extend("default" = [50, 80, 100]))]
    pub(crate) levels: Option<OneOrMany<i64>>,
    /// The channels to notify; `[]` notifies nobody. Required.
    #[schemars(required, extend("examples" = [["owner-mail", "phone"]]))]
    pub(crate) tell: Option<OneOrMany<String>>,
    /// The first event is sent at once; those that follow within this time are sent as one message with
    /// an exact total. While events continue, the intervals grow, up to an hour. Locks and storage
    /// failures are always sent one by one. From 1 second to 1 day.
    #[schemars(extend("default" = "5 min"))]
    pub(crate) window: Option<Spanned<String>>,
    /// A part of the day, in `time_zone`, during which whatever can wait is held back; it is sent at the
    /// end as one message. Locks and storage failures do not wait.
    #[schemars(extend("examples" = ["22:00-07:00"]))]
    pub(crate) quiet: Option<Spanned<String>>,
}

/// What a rule can wait for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WatchEvent {
    /// A write was executed.
    Write,
    /// A key wrote for the first time.
    FirstWriteOfKey,
    /// An operation was used for the first time.
    FirstWriteOfOperation,
    /// A key has used a share of a write budget.
    BudgetLevel,
    /// A key was locked.
    KeyLocked,
    /// A key was unlocked.
    KeyUnlocked,
    /// The outcome of a write is unknown.
    WriteUnknown,
    /// A key or an address is refused over and over.
    RefusalBurst,
    /// Writes cannot be recorded.
    StorageFailure,
    /// A message did not arrive.
    DeliveryFailed,
}

/// How a write ended.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WatchOutcome {
    /// The upstream answered 2xx or 3xx.
    Applied,
    /// The upstream answered 4xx.
    RefusedByUpstream,
    /// It was not sent.
    NotSent,
    /// Nobody knows.
    Unknown,
    /// Keystile refused it.
    Refused,
    /// Another gateway was told that it may send it.
    HandedOver,
}

/// A way to notify the owner.
///
/// Each key says which kinds take it. Secrets are never written here: a key that ends in `_file` names a
/// file that holds one, and one in `_env` an environment variable. Both are read when something is sent,
/// so a secret can be replaced without a restart.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Channel {
    /// What kind of channel it is. Required.
    #[schemars(required)]
    pub(crate) kind: Option<Spanned<ChannelKind>>,
    /// At most this many messages an hour, from 1 to 10000. Beyond that, events wait and are sent as one
    /// message with an exact total; locks and storage failures do not wait.
    #[schemars(extend("default" = 60))]
    pub(crate) per_hour_max: Option<Spanned<i64>>,
    /// Addresses or ranges of your own network that the channel may connect to. Without it, only public
    /// addresses are allowed, so that nobody who controls a DNS name can make Keystile talk to your other
    /// machines.
    #[schemars(extend("default" = [], "examples" = [["127.0.0.1", "10.1.0.0/16"]]))]
    pub(crate) allow_networks: Option<OneOrMany<String>>,
    /// For `email`: the recipients.
    #[schemars(extend("examples" = [["me@example.org"]]))]
    pub(crate) to: Option<OneOrMany<String>>,
    /// For `email`: the sender.
    #[schemars(extend("examples" = ["keystile@example.org"]))]
    pub(crate) from: Option<Spanned<String>>,
    /// For `email`: the server that accepts mail.
    pub(crate) smtp: Option<Spanned<TextOr<Smtp>>>,
    /// For `web_push`: an address of yours that push services can contact about your messages. By
    /// default, the console's address; Apple's service refuses one that only this machine knows.
    #[schemars(extend("examples" = ["mailto:me@example.org"]))]
    pub(crate) contact: Option<Spanned<String>>,
    /// For `webhook`: the URL to post to. For `ntfy`, `gotify` and `matrix`: the server. `https://`, or
    /// `http://` to this machine or an address in `allow_networks`.
    #[schemars(extend("examples" = ["https://hooks.example.org/keystile"]))]
    pub(crate) url: Option<Spanned<String>>,
    /// For `slack`, `discord` and `teams`: a file that holds the address of the webhook, which is a secret.
    #[schemars(extend("examples" = ["/run/secrets/slack"]))]
    pub(crate) url_file: Option<Spanned<String>>,
    /// The same, in an environment variable.
    #[schemars(extend("examples" = ["SLACK_URL"]))]
    pub(crate) url_env: Option<Spanned<String>>,
    /// For `webhook`: a file that holds the secret that signs requests, as in `whsec_...`.
    #[schemars(extend("examples" = ["/run/secrets/hook"]))]
    pub(crate) secret_file: Option<Spanned<String>>,
    /// The same, in an environment variable.
    #[schemars(extend("examples" = ["HOOK_SECRET"]))]
    pub(crate) secret_env: Option<Spanned<String>>,
    /// For `gotify`, `telegram`, `pushover` and `matrix`, and for `ntfy` where its topic is protected: a
    /// file that holds the token.
    #[schemars(extend("examples" = ["/run/secrets/token"]))]
    pub(crate) token_file: Option<Spanned<String>>,
    /// The same, in an environment variable.
    #[schemars(extend("examples" = ["BOT_TOKEN"]))]
    pub(crate) token_env: Option<Spanned<String>>,
    /// For `ntfy`: the topic.
    #[schemars(extend("examples" = ["keystile"]))]
    pub(crate) topic: Option<Spanned<String>>,
    /// For `telegram`: the chat.
    #[schemars(extend("examples" = ["-1001234567890"]))]
    pub(crate) chat: Option<Spanned<String>>,
    /// For `pushover`: the user or group.
    #[schemars(extend("examples" = ["uQiRzpo4DXghDmr9QzzfQu27cmVRsG"]))]
    pub(crate) user: Option<Spanned<String>>,
    /// For `matrix`: the room.
    #[schemars(extend("examples" = ["!abc:example.org"]))]
    pub(crate) room: Option<Spanned<String>>,
}

impl Channel {
    /// The texts that a kind may take, by the keys in which they are written.
    fn texts(&self) -> [(&'static str, Option<&Spanned<String>>); 13] {
        [
            ("from", self.from.as_ref()),
            ("contact", self.contact.as_ref()),
            ("url", self.url.as_ref()),
            ("url_file", self.url_file.as_ref()),
            ("url_env", self.url_env.as_ref()),
            ("secret_file", self.secret_file.as_ref()),
            ("secret_env", self.secret_env.as_ref()),
            ("token_file", self.token_file.as_ref()),
            ("token_env", self.token_env.as_ref()),
            ("topic", self.topic.as_ref()),
            ("chat", self.chat.as_ref()),
            ("user", self.user.as_ref()),
            ("room", self.room.as_ref()),
        ]
    }

    /// The text of a key, where it is written.
    pub(crate) fn text(&self, key: &str) -> Option<&Spanned<String>> {
        self.texts().into_iter().find_map(|(known, text)| text.filter(|_| known == key))
    }

    /// Every key that only some kinds take and that is written, with its place.
    pub(crate) fn written(&self) -> Vec<(&'static str, Place)> {
        let to = self.to.as_ref().map(|to| ("to", to.place.clone()));
        let smtp = self.smtp.as_ref().map(|smtp| ("smtp", smtp.place.clone()));
        let texts = self.texts().into_iter();
        let texts = texts.filter_map(|(key, text)| Some((key, text?.place.clone())));
        to.into_iter().chain(smtp).chain(texts).collect()
    }
}

/// How a channel is reached: a kind by its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChannelKind(pub(crate) &'static channel::ChannelKind);

impl<'de> Deserialize<'de> for ChannelKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        // The reader names the kinds by the schema.
        channel::kind(&name).map(Self).ok_or_else(|| D::Error::unknown_variant(&name, &[]))
    }
}

impl JsonSchema for ChannelKind {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ChannelKind".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let kinds = channel::KINDS
            .iter()
            .map(|kind| json!({ "description": kind.about, "type": "string", "const": kind.name }));
        json_schema!({
            "description": "How a channel is reached.",
            "oneOf": kinds.collect::<Vec<_>>(),
        })
    }
}

/// The server that accepts mail. A string is its address.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub(crate) struct Smtp {
    /// Its address: `smtps://user@mail.example.org`, or `smtp://user@mail.example.org?tls=required` for
    /// STARTTLS. Plain `smtp://` goes only to this machine, because mail and password would otherwise
    /// cross the network in the clear. Required.
    #[schemars(required, extend("examples" = ["smtps://user@mail.example.org"]))]
    pub(crate) url: Option<Spanned<String>>,
    /// A file that holds the user's password.
    #[schemars(extend("examples" = ["/run/secrets/smtp"]))]
    pub(crate) password_file: Option<Spanned<String>>,
    /// The same, in an environment variable.
    #[schemars(extend("examples" = ["SMTP_PASSWORD"]))]
    pub(crate) password_env: Option<Spanned<String>>,
}
