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

use crate::channel::{
    ChannelSecret, ChannelSettings, EmailSettings, HookUrl, InvalidChannel, SmtpServer,
    Subscription, mailbox,
};
use crate::secret::{SecretFault, secret};
use crate::send::{SendError, Sender as Channels, SenderSettings, VapidKey};
use crate::text::message;
use crate::worker::task::DeliverySender;

/// Why a delivery cannot be sent as its channel is set up.
#[derive(Debug, thiserror::Error)]
enum NotReady {
    #[error(transparent)]
    Secret(#[from] SecretFault),
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
pub(crate) fn sender(engine: Arc<Engine>, vapid: &VapidKey) -> DeliverySender {
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
