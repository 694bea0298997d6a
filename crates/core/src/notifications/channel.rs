//! Channels: where owners are told, and what each kind needs to reach them.
//!
//! # What this protects
//!
//! No secret is a value here. A channel knows the file or the environment variable that holds its secret,
//! and whoever sends reads it then, so that a secret can be replaced without a restart and is in no log.

use std::path::PathBuf;

use crate::request::address::AddressRange;

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SecretSource {
    /// In a file, without the line's end.
    File(PathBuf),
    /// In an environment variable.
    Environment(String),
}

/// A way on which owners are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelRule {
    /// Its name, as rules write it.
    pub name: String,
    /// How it is reached.
    pub spec: ChannelSpec,
    /// How many messages it carries in an hour at most; what is beyond waits for a digest. Locks and
    /// storage failures do not wait.
    pub per_hour_max: u32,
    /// Addresses inside of one's own network that it may be at.
    pub allowed_networks: Vec<AddressRange>,
}

/// How a channel is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSpec {
    /// Email, by an SMTP server.
    Email {
        /// Who is told; each is a receiver of its own.
        to: Vec<String>,
        /// Who tells.
        from: String,
        /// The server, as in `smtps://user@mail.example.org`.
        smtp_url: String,
        /// The password of the user in it.
        password: Option<SecretSource>,
    },
    /// Push to the devices that owners subscribed; each is a receiver of its own.
    WebPush {
        /// Whom a push service may ask, as in `mailto:me@example.org`.
        contact: Option<String>,
    },
    /// A request in the form of Standard Webhooks.
    Webhook {
        /// Where to.
        url: String,
        /// What it is signed with.
        secret: SecretSource,
    },
    /// An incoming webhook of Slack, whose address is the secret.
    Slack {
        /// Where to.
        url: SecretSource,
    },
    /// A webhook of Discord, whose address is the secret.
    Discord {
        /// Where to.
        url: SecretSource,
    },
    /// A workflow webhook of Microsoft Teams, whose address is the secret.
    Teams {
        /// Where to.
        url: SecretSource,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// The server.
        url: String,
        /// The topic.
        topic: String,
        /// A token, where the topic is not open.
        token: Option<SecretSource>,
    },
    /// A Gotify server.
    Gotify {
        /// The server.
        url: String,
        /// The application's token.
        token: SecretSource,
    },
    /// A chat of a Telegram bot.
    Telegram {
        /// The chat.
        chat: String,
        /// The bot's token.
        token: SecretSource,
    },
    /// Pushover.
    Pushover {
        /// The user or group.
        user: String,
        /// The application's token.
        token: SecretSource,
    },
    /// A room of Matrix.
    Matrix {
        /// The home server.
        url: String,
        /// The room, as in `!abc:example.org`.
        room: String,
        /// An access token.
        token: SecretSource,
    },
}

impl ChannelSpec {
    /// The name of its kind, as the configuration writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::WebPush { .. } => "web_push",
            Self::Webhook { .. } => "webhook",
            Self::Slack { .. } => "slack",
            Self::Discord { .. } => "discord",
            Self::Teams { .. } => "teams",
            Self::Ntfy { .. } => "ntfy",
            Self::Gotify { .. } => "gotify",
            Self::Telegram { .. } => "telegram",
            Self::Pushover { .. } => "pushover",
            Self::Matrix { .. } => "matrix",
        }
    }

    /// Who is reached, for people; nothing that is a secret.
    pub fn target(&self) -> String {
        match self {
            Self::Email { to, .. } => to.join(", "),
            Self::WebPush { .. } => "subscribed devices".to_owned(),
            Self::Webhook { url, .. } | Self::Gotify { url, .. } => url.clone(),
            Self::Slack { .. } | Self::Discord { .. } | Self::Teams { .. } => {
                "a secret address".to_owned()
            }
            Self::Ntfy { url, topic, .. } => format!("{url}/{topic}"),
            Self::Telegram { chat, .. } => format!("chat {chat}"),
            Self::Pushover { .. } => "pushover.net".to_owned(),
            Self::Matrix { url, room, .. } => format!("{room} at {url}"),
        }
    }

    /// Who receives a message on it, where `devices` are the subscribed devices: several receivers by name,
    /// or one that needs none. Nobody, where no device is subscribed.
    pub fn receivers(&self, devices: &[String]) -> Vec<Option<String>> {
        match self {
            Self::Email { to, .. } => to.iter().cloned().map(Some).collect(),
            Self::WebPush { .. } => devices.iter().cloned().map(Some).collect(),
            Self::Webhook { .. }
            | Self::Slack { .. }
            | Self::Discord { .. }
            | Self::Teams { .. }
            | Self::Ntfy { .. }
            | Self::Gotify { .. }
            | Self::Telegram { .. }
            | Self::Pushover { .. }
            | Self::Matrix { .. } => vec![None],
        }
    }

    /// Whether its receivers are the subscribed devices.
    pub fn is_for_devices(&self) -> bool {
        matches!(self, Self::WebPush { .. })
    }
}
