//! What one receiver of a channel needs to be sent a message.
//!
//! Everything is parsed here, so that `keystile check` finds a wrong address before anything is sent.
//! Secrets and whole addresses do not print: the address of a hook is the permission to post to it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD};
use keystile_core::request::address::AddressRange;
pub use lettre::message::Mailbox;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use url::Url;
use web_push_native::p256::PublicKey;

use crate::address::AddressGuard;

/// One receiver, by the kind of its channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSettings {
    /// One address of a mail channel.
    Email(EmailSettings),
    /// One subscribed browser.
    WebPush {
        /// Where it is reached.
        subscription: Subscription,
        /// Whom its push service may ask, as `mailto:` or `https:`; the console's address otherwise.
        contact: Option<String>,
    },
    /// A program that speaks Standard Webhooks.
    Webhook {
        /// Where it listens.
        url: HookUrl,
        /// What it verifies with.
        secrets: WebhookSecrets,
    },
    /// An incoming webhook of Slack.
    Slack {
        /// The address that Slack gave.
        url: HookUrl,
    },
    /// A webhook of a Discord channel.
    Discord {
        /// The address that Discord gave.
        url: HookUrl,
    },
    /// A workflow of Teams that posts cards.
    Teams {
        /// The address that Teams gave.
        url: HookUrl,
    },
    /// A topic of an ntfy server.
    Ntfy {
        /// The server's root.
        server: HookUrl,
        /// The topic, which on a public server is a password.
        topic: ChannelSecret,
        /// An access token, where the topic needs one.
        token: Option<ChannelSecret>,
    },
    /// An application of a Gotify server.
    Gotify {
        /// The server's root.
        server: HookUrl,
        /// The application's token.
        token: ChannelSecret,
    },
    /// A chat with a bot of Telegram.
    Telegram {
        /// `https://api.telegram.org`, or a local server of the bot API.
        server: HookUrl,
        /// The bot's token.
        token: ChannelSecret,
        /// The chat's id, or a channel's `@name`.
        chat: String,
    },
    /// A user or group of Pushover.
    Pushover {
        /// `https://api.pushover.net`.
        server: HookUrl,
        /// The application's token.
        token: ChannelSecret,
        /// The user's or group's key.
        user: ChannelSecret,
    },
    /// A room of Matrix.
    Matrix {
        /// The homeserver's root.
        server: HookUrl,
        /// The access token of the user who posts.
        token: ChannelSecret,
        /// The room's id, as in `!abc:example.org`.
        room: String,
    },
}

impl ChannelSettings {
    /// The kind as the configuration writes it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Email(_) => "email",
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
}

impl ChannelSettings {
    /// Why nothing would be sent to where it leads, as far as that is written as an address; names are not
    /// looked up.
    pub fn address_fault(&self, allowed: &[AddressRange]) -> Option<String> {
        let url = match self {
            Self::Email(_) | Self::WebPush { .. } => return None,
            Self::Webhook { url, .. }
            | Self::Slack { url }
            | Self::Discord { url }
            | Self::Teams { url } => url,
            Self::Ntfy { server, .. }
            | Self::Gotify { server, .. }
            | Self::Telegram { server, .. }
            | Self::Pushover { server, .. }
            | Self::Matrix { server, .. } => server,
        };
        let guard = AddressGuard::new(allowed.to_vec());
        guard.check_written(url.url()).err().map(|error| error.to_string())
    }
}

/// Why a setting of a channel cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidChannel {
    /// The address of a hook is none.
    #[error("{0}: write it as https://host/path")]
    Url(&'static str),
    /// The address of a mail server is none.
    #[error("{0}: write it as smtps://user@host or smtp://host")]
    Smtp(&'static str),
    /// A mail address is none.
    #[error("{0:?} is not a mail address")]
    Mailbox(String),
    /// The secret of a webhook has another form.
    #[error("the secret of a webhook is \"whsec_\" and base64 of 24 to 64 bytes, one a line")]
    WebhookSecret,
    /// A browser's subscription is not whole.
    #[error("the subscription of a browser is not whole: {0}")]
    Subscription(&'static str),
}

/// A text that gives its holder a permission, and does not print.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ChannelSecret(String);

impl ChannelSecret {
    /// The text as a file or the environment has it: spaces and line breaks around it do not count.
    pub fn new(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// An HTTP address without a user in it. Only its host prints.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HookUrl(Url);

impl HookUrl {
    pub(crate) fn url(&self) -> &Url {
        &self.0
    }

    /// The address with these parts added to its path, each as one segment.
    pub(crate) fn with(&self, segments: &[&str]) -> Url {
        let mut url = self.0.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }
}

impl FromStr for HookUrl {
    type Err = InvalidChannel;

    fn from_str(text: &str) -> Result<Self, InvalidChannel> {
        let url = Url::parse(text.trim()).map_err(|_| InvalidChannel::Url("it is no address"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(InvalidChannel::Url("it is not HTTP"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(InvalidChannel::Url("it has a user or a password in it"));
        }
        if url.fragment().is_some() {
            return Err(InvalidChannel::Url("it has a fragment"));
        }
        Ok(Self(url))
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/[redacted]", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

/// One address of a mail channel. A channel with several has one delivery for each, so that an address
/// that is refused keeps nothing from the others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailSettings {
    /// Who is told.
    pub to: Mailbox,
    /// Who tells.
    pub from: Mailbox,
    /// The server that takes the mail.
    pub smtp: SmtpServer,
}

/// Parses a mail address, as in `me@example.org` or `Me <me@example.org>`.
pub fn mailbox(text: &str) -> Result<Mailbox, InvalidChannel> {
    text.trim().parse().map_err(|_| InvalidChannel::Mailbox(text.to_owned()))
}

/// A mail server and how it is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpServer {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) security: SmtpSecurity,
    pub(crate) login: Option<(String, ChannelSecret)>,
}

/// How a connection to a mail server is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SmtpSecurity {
    /// TLS from the first byte.
    Tls,
    /// STARTTLS, or nothing is sent.
    StartTls,
    /// Nothing, on this machine.
    Loopback,
}

impl SmtpServer {
    /// Reads `smtps://user@host:465` (TLS from the first byte) or `smtp://user@host:587` (STARTTLS
    /// required). To this machine `smtp://` is plain, since nobody listens between, unless it ends in
    /// `?tls=required`.
    pub fn parse(url: &str, password: Option<ChannelSecret>) -> Result<Self, InvalidChannel> {
        let fault = InvalidChannel::Smtp;
        let url = Url::parse(url.trim()).map_err(|_| fault("it is no address"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        if host.is_empty() {
            return Err(fault("it has no host"));
        }
        if url.password().is_some() {
            return Err(fault("it has a password in it, which belongs into a file"));
        }
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(fault("it has a path"));
        }
        let is_loopback = host == "localhost"
            || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback());
        let (security, port) = match (url.scheme(), url.query()) {
            ("smtps", None) => (SmtpSecurity::Tls, 465),
            ("smtp", None) if is_loopback => (SmtpSecurity::Loopback, 25),
            ("smtp", None | Some("tls=required")) => (SmtpSecurity::StartTls, 587),
            ("smtps" | "smtp", Some(_)) => return Err(fault("only ?tls=required may follow it")),
            _ => return Err(fault("it is neither smtps nor smtp")),
        };
        let login = match (url.username(), password) {
            ("", None) => None,
            ("", Some(_)) => return Err(fault("there is a password, and no user in the address")),
            (_, None) => return Err(fault("it has a user, and there is no password")),
            (user, Some(password)) => {
                let user = percent_decode_str(user).decode_utf8();
                Some((user.map_err(|_| fault("its user is not UTF-8"))?.into_owned(), password))
            }
        };
        Ok(Self { host, port: url.port().unwrap_or(port), security, login })
    }
}

/// What a receiver of webhooks verifies with. More than one while a secret is replaced: each message
/// is signed with all.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebhookSecrets(Vec<Vec<u8>>);

impl WebhookSecrets {
    /// The keys, at least one.
    pub(crate) fn keys(&self) -> &[Vec<u8>] {
        &self.0
    }
}

impl FromStr for WebhookSecrets {
    type Err = InvalidChannel;

    fn from_str(text: &str) -> Result<Self, InvalidChannel> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys = lines.map(|line| {
            let key = BASE64_STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
            (24..=64).contains(&key.len()).then_some(key)
        });
        let keys = keys.collect::<Option<Vec<_>>>().filter(|keys| !keys.is_empty());
        keys.map(Self).ok_or(InvalidChannel::WebhookSecret)
    }
}

impl fmt::Debug for WebhookSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// One subscribed browser, in the form in which browsers write `PushSubscription.toJSON()`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "SubscriptionJson", into = "SubscriptionJson")]
pub struct Subscription {
    url: HookUrl,
    key: PublicKey,
    auth: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct SubscriptionJson {
    #[serde(rename = "endpoint")]
    url: String,
    keys: SubscriptionKeys,
}

#[derive(Serialize, Deserialize)]
struct SubscriptionKeys {
    p256dh: String,
    auth: String,
}

impl Subscription {
    /// Checks what a browser sent: its push service's address, its public key and its shared secret.
    pub fn new(url: &str, p256dh: &str, auth: &str) -> Result<Self, InvalidChannel> {
        let fault = InvalidChannel::Subscription;
        let decoded = |text: &str| {
            let decode = |text| BASE64_URL_SAFE_NO_PAD.decode(text);
            decode(text).or_else(|_| BASE64_URL_SAFE.decode(text)).ok()
        };
        let key = decoded(p256dh).ok_or(fault("its key is not base64"))?;
        let auth = decoded(auth).and_then(|auth| auth.try_into().ok());
        Ok(Self {
            url: url.parse().map_err(|_| fault("its push service has no address"))?,
            key: PublicKey::from_sec1_bytes(&key).map_err(|_| fault("its key is no point"))?,
            auth: auth.ok_or(fault("its secret is not 16 bytes"))?,
        })
    }

    pub(crate) fn url(&self) -> &Url {
        self.url.url()
    }

    /// The host of the browser's push service, by which a list of devices may name it.
    pub fn host(&self) -> &str {
        self.url.0.host_str().unwrap_or_default()
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(crate) fn auth(&self) -> &[u8; 16] {
        &self.auth
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription({:?})", self.url)
    }
}

impl TryFrom<SubscriptionJson> for Subscription {
    type Error = InvalidChannel;

    fn try_from(json: SubscriptionJson) -> Result<Self, InvalidChannel> {
        Self::new(&json.url, &json.keys.p256dh, &json.keys.auth)
    }
}

impl From<Subscription> for SubscriptionJson {
    fn from(subscription: Subscription) -> Self {
        Self {
            url: subscription.url.0.into(),
            keys: SubscriptionKeys {
                p256dh: BASE64_URL_SAFE_NO_PAD.encode(subscription.key.to_sec1_bytes()),
                auth: BASE64_URL_SAFE_NO_PAD.encode(subscription.auth),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4";
    const AUTH: &str = "BTBZMqHH6r4Tts7J_aSIgg";

    #[test]
    fn a_mail_server_is_plain_on_this_machine_only() {
        let secret = || Some(ChannelSecret::new("pass\n"));
        for (url, password, security, port) in [
            ("smtps://me%40example.org@mail.example.org", secret(), SmtpSecurity::Tls, 465),
            ("smtp://me@mail.example.org", secret(), SmtpSecurity::StartTls, 587),
            ("smtp://mail.example.org:25", None, SmtpSecurity::StartTls, 25),
            ("smtp://localhost", None, SmtpSecurity::Loopback, 25),
            ("smtp://[::1]:2525/", None, SmtpSecurity::Loopback, 2525),
            ("smtp://127.0.0.1:2525?tls=required", None, SmtpSecurity::StartTls, 2525),
            ("smtp://localhost.example.org", None, SmtpSecurity::StartTls, 587),
        ] {
            let server = SmtpServer::parse(url, password).unwrap();
            assert_eq!((server.security, server.port), (security, port), "{url}");
        }
        let server = SmtpServer::parse("smtps://me%40example.org@mail.example.org", secret());
        let (user, password) = server.unwrap().login.unwrap();
        assert_eq!((user.as_str(), password.expose()), ("me@example.org", "pass"));
        for (url, password) in [
            ("smtp://me:pass@mail.example.org", None),
            ("smtp://me@mail.example.org", None),
            ("smtp://mail.example.org", secret()),
            ("smtp://mail.example.org?tls=opportunistic", None),
            ("smtps://mail.example.org/inbox", None),
            ("https://mail.example.org", None),
            ("mail.example.org", None),
            ("smtp://", None),
        ] {
            assert!(SmtpServer::parse(url, password).is_err(), "{url}");
        }
    }

    #[test]
    fn a_hook_has_a_plain_address() {
        for text in
            ["ftp://h/", "https://user@h/", "https://u:p@h/", "https://h/#f", "h", "https://"]
        {
            assert!(text.parse::<HookUrl>().is_err(), "{text}");
        }
        let url: HookUrl = "https://h/base/".parse().unwrap();
        assert_eq!(url.with(&["rooms", "!a/b:c"]).as_str(), "https://h/base/rooms/!a%2Fb:c");
    }

    #[test]
    fn a_subscription_is_read_as_browsers_write_it() {
        let json = format!(
            r#"{{"endpoint":"https://push.example/x","expirationTime":null,"keys":{{"p256dh":"{KEY}","auth":"{AUTH}"}}}}"#
        );
        let subscription: Subscription = serde_json::from_str(&json).unwrap();
        assert_eq!(subscription.host(), "push.example");
        let again = serde_json::to_string(&subscription).unwrap();
        assert_eq!(serde_json::from_str::<Subscription>(&again).unwrap(), subscription);
        assert!(Subscription::new("https://p/", &KEY[1..], AUTH).is_err());
        assert!(Subscription::new("https://p/", &KEY.replace('B', "A"), AUTH).is_err());
        assert!(Subscription::new("https://p/", KEY, "AAAA").is_err());
        assert!(Subscription::new("file:///etc/passwd", KEY, AUTH).is_err());
    }

    #[test]
    fn secrets_do_not_print() {
        let hook = || "https://hooks.example/services/T0/B0/SECRET".parse::<HookUrl>().unwrap();
        let secret = || ChannelSecret::new("SECRET");
        let secrets = "whsec_U0VDUkVUU0VDUkVUU0VDUkVUU0VDUkVU".parse().unwrap();
        let smtp = SmtpServer::parse("smtps://me@h", Some(secret())).unwrap();
        let (to, from) = (mailbox("me@example.org").unwrap(), mailbox("k@example.org").unwrap());
        for settings in [
            ChannelSettings::Slack { url: hook() },
            ChannelSettings::Webhook { url: hook(), secrets },
            ChannelSettings::Ntfy { server: hook(), topic: secret(), token: Some(secret()) },
            ChannelSettings::WebPush {
                subscription: Subscription::new("https://p/SECRET", KEY, AUTH).unwrap(),
                contact: None,
            },
            ChannelSettings::Email(EmailSettings { to, from, smtp }),
        ] {
            let printed = format!("{settings:?}");
            assert!(!printed.contains("SECRET") && !printed.contains("U0VD"), "{printed}");
            assert!(!printed.contains(AUTH), "{printed}");
        }
    }

    #[test]
    fn secrets_of_webhooks_may_be_two_while_one_is_replaced() {
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        assert_eq!(format!("{one}\n\n {one}\n").parse::<WebhookSecrets>().unwrap().keys().len(), 2);
        for text in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_", "whsec_AAAA", "whsec_!"] {
            assert_eq!(text.parse::<WebhookSecrets>(), Err(InvalidChannel::WebhookSecret));
        }
    }
}
