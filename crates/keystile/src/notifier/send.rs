//! From a delivery to its channel's protocol.
//!
//! Secrets are read from their files for each attempt, so that one can be replaced without a restart.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::notifications::channel::{ChannelRule, ChannelSpec, SecretSource};
use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::request::address::AddressRange;
use keystile_engine::Engine;
use keystile_engine::notifications::notify::{ClaimedDelivery, Receiver};
use keystile_notify::channel::{
    ChannelSecret, ChannelSettings, EmailSettings, HookUrl, InvalidChannel, SmtpServer,
    Subscription, mailbox,
};
use keystile_notify::send::{SendError, Sender as Channels, SenderSettings, VapidKey};

use super::Sender;
use super::message::message;

/// A secret is a line, not a book.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// Why a delivery cannot be sent as its channel is set up.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error("the secret cannot be read from {path}: {source}")]
    File { path: String, source: std::io::Error },
    #[error("the environment variable {0} is not set")]
    Environment(String),
    #[error("the environment variable {0} holds no secret: {1}")]
    Text(String, &'static str),
    #[error(transparent)]
    Channel(#[from] InvalidChannel),
    #[error("it has no receiver")]
    NoReceiver,
}

/// What sends, for each set of networks that a channel may reach.
struct Shared {
    engine: Arc<Engine>,
    /// In PKCS #8.
    vapid: Vec<u8>,
    channels: Mutex<HashMap<Vec<AddressRange>, Arc<Channels>>>,
}

/// What sends on every kind of channel.
pub fn sender(engine: Arc<Engine>, vapid: &VapidKey) -> Sender {
    let shared =
        Arc::new(Shared { engine, vapid: vapid.pkcs8().to_vec(), channels: Mutex::default() });
    Arc::new(move |delivery| {
        let shared = shared.clone();
        Box::pin(async move { send(&shared, delivery).await })
    })
}

async fn send(shared: &Shared, delivery: ClaimedDelivery) -> AttemptOutcome {
    let settings = match settings(&delivery.channel.spec, delivery.receiver.as_ref()) {
        Ok(settings) => settings,
        // An owner may be about to mend it.
        Err(fault) => return AttemptOutcome::Later { said: fault.to_string(), retry_after: None },
    };
    let channels = match shared.channels(&delivery.channel.allowed_networks) {
        Ok(channels) => channels,
        Err(fault) => return AttemptOutcome::Later { said: fault, retry_after: None },
    };
    let now = shared.engine.store().now();
    match channels.send(&settings, &message(&delivery), now).await {
        Ok(accepted) => AttemptOutcome::Sent { said: accepted.said },
        Err(SendError::Later { said, after }) => AttemptOutcome::Later { said, retry_after: after },
        Err(SendError::Never { said }) => AttemptOutcome::Never { said },
        Err(SendError::Gone { said }) => AttemptOutcome::Gone { said },
    }
}

impl Shared {
    fn channels(&self, networks: &[AddressRange]) -> Result<Arc<Channels>, String> {
        let mut known = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channels) = known.get(networks) {
            return Ok(channels.clone());
        }
        let url = self.engine.console_url();
        let host = url.split("://").nth(1).and_then(|rest| rest.split(['/', ':']).next());
        let vapid = VapidKey::from_pkcs8(&self.vapid).map_err(|error| error.to_string())?;
        let made = Channels::new(SenderSettings {
            allow_private: networks.to_vec(),
            vapid,
            console_host: host.unwrap_or("localhost").to_owned(),
            ca_file: std::env::var_os("SSL_CERT_FILE").map(Into::into),
        });
        let channels = Arc::new(made.map_err(|error| error.to_string())?);
        known.insert(networks.to_vec(), channels.clone());
        Ok(channels)
    }
}

/// A secret, as it is now.
fn secret(source: &SecretSource) -> Result<String, NotReady> {
    match source {
        SecretSource::File(path) => {
            let fault = |source| NotReady::File { path: path.display().to_string(), source };
            let length = std::fs::metadata(path).map_err(fault)?.len();
            if length > SECRET_BYTES_MAX {
                return Err(fault(std::io::Error::other("it is too long for a secret")));
            }
            let text = std::fs::read_to_string(path).map_err(fault)?;
            one_line(&text).map_err(|problem| fault(std::io::Error::other(problem)))
        }
        SecretSource::Environment(name) => {
            let text = std::env::var(name).map_err(|_| NotReady::Environment(name.clone()))?;
            one_line(&text).map_err(|problem| NotReady::Text(name.clone(), problem))
        }
    }
}

/// A secret without what editors put around it: a mark before the text, an end of line after it. What else does
/// not belong in one line is refused, because nobody would find it in a login that fails.
fn one_line(text: &str) -> Result<String, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err("it is empty");
    }
    if text.contains(char::is_control) {
        return Err("it has more than one line, or a control character");
    }
    Ok(text.to_owned())
}

fn kept(source: &SecretSource) -> Result<ChannelSecret, NotReady> {
    Ok(ChannelSecret::new(&secret(source)?))
}

fn hook(source: &SecretSource) -> Result<HookUrl, NotReady> {
    Ok(secret(source)?.parse()?)
}

/// Why a channel cannot send as it is set up. Secrets are read; nothing is sent or looked up.
pub fn fault(channel: &ChannelRule) -> Option<String> {
    let receivers = match &channel.spec {
        // Each device brings what it needs.
        ChannelSpec::WebPush { .. } => return None,
        ChannelSpec::Email { to, .. } => {
            to.iter().map(|to| Some(Receiver::Address(to.clone()))).collect()
        }
        _ => vec![None],
    };
    receivers.into_iter().find_map(|receiver| match settings(&channel.spec, receiver.as_ref()) {
        Ok(settings) => settings.address_fault(&channel.allowed_networks),
        Err(fault) => Some(fault.to_string()),
    })
}

fn settings(spec: &ChannelSpec, receiver: Option<&Receiver>) -> Result<ChannelSettings, NotReady> {
    Ok(match spec {
        ChannelSpec::Email { from, smtp_url, password, .. } => {
            let Some(Receiver::Address(to)) = receiver else {
                return Err(NotReady::NoReceiver);
            };
            let password = password.as_ref().map(kept).transpose()?;
            ChannelSettings::Email(EmailSettings {
                to: mailbox(to)?,
                from: mailbox(from)?,
                smtp: SmtpServer::parse(smtp_url, password)?,
            })
        }
        ChannelSpec::WebPush { contact } => {
            let Some(Receiver::Device(device)) = receiver else {
                return Err(NotReady::NoReceiver);
            };
            let subscription =
                Subscription::new(&device.push_address, &device.p256dh, &device.auth)?;
            ChannelSettings::WebPush { subscription, contact: contact.clone() }
        }
        ChannelSpec::Webhook { url, secret: signing } => {
            ChannelSettings::Webhook { url: url.parse()?, secrets: secret(signing)?.parse()? }
        }
        ChannelSpec::Slack { url } => ChannelSettings::Slack { url: hook(url)? },
        ChannelSpec::Discord { url } => ChannelSettings::Discord { url: hook(url)? },
        ChannelSpec::Teams { url } => ChannelSettings::Teams { url: hook(url)? },
        ChannelSpec::Ntfy { url, topic, token } => ChannelSettings::Ntfy {
            server: url.parse()?,
            topic: ChannelSecret::new(topic),
            token: token.as_ref().map(kept).transpose()?,
        },
        ChannelSpec::Gotify { url, token } => {
            ChannelSettings::Gotify { server: url.parse()?, token: kept(token)? }
        }
        ChannelSpec::Telegram { chat, token } => ChannelSettings::Telegram {
            server: "https://api.telegram.org".parse()?,
            token: kept(token)?,
            chat: chat.clone(),
        },
        ChannelSpec::Pushover { user, token } => ChannelSettings::Pushover {
            server: "https://api.pushover.net".parse()?,
            token: kept(token)?,
            user: ChannelSecret::new(user),
        },
        ChannelSpec::Matrix { url, room, token } => ChannelSettings::Matrix {
            server: url.parse()?,
            token: kept(token)?,
            room: room.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_its_text_whatever_the_editor_put_around_it() {
        for text in ["s3 cret", "s3 cret\n", "s3 cret\r\n", "\u{feff}s3 cret\r\n", "s3 cret\n\n"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            std::fs::write(&path, text).unwrap();
            assert_eq!(secret(&SecretSource::File(path)).unwrap(), "s3 cret", "{text:?}");
        }
        for text in ["", "\n", "\u{feff}", "\u{feff}\r\n", "  \n", "a\nb", "a\0b", "a\u{1b}b"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            std::fs::write(&path, text).unwrap();
            let refused = secret(&SecretSource::File(path)).unwrap_err().to_string();
            assert!(refused.contains("cannot be read from"), "{text:?}: {refused}");
            assert!(!refused.contains('\u{1b}'), "{refused}");
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, b"\xff\xfea\0b\0").unwrap();
        let refused = secret(&SecretSource::File(path)).unwrap_err().to_string();
        assert!(refused.contains("UTF-8"), "{refused}");
    }
}
