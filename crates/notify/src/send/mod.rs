//! One attempt to hand one message to one receiver, and what it came to.
//!
//! An attempt ends within its `Limits`, whatever the other side does. Where nobody can know whether
//! the message arrived, as when the connection is cut after the last byte, it is [`SendError::Later`]:
//! the next attempt carries the same id, and the receiver drops the repeat.

mod chat;
mod email;
mod http;
mod web_push;
mod webhook;

use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile_core::request::address::AddressRange;
use keystile_core::text::{printable, shortened};
use keystile_core::time::{Span, Timestamp};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

pub use self::web_push::{VapidError, VapidKey};
use crate::address::AddressGuard;
use crate::channel::ChannelSettings;
use crate::message::Message;
use crate::render::Shown;

/// Characters kept of what the other side said.
const SAID_CHARS_MAX: usize = 500;
/// A peer that asks for a longer pause is asked again after a day.
const AFTER_MAX: Span = Span::from_secs(86_400);

/// How long an attempt may take, from the look-up of a name to the last byte that is read.
#[derive(Clone, Copy, Debug)]
struct Limits {
    http: Duration,
    smtp: Duration,
}

/// A mail server may look for spam and viruses before it answers.
const LIMITS: Limits = Limits { http: Duration::from_secs(15), smtp: Duration::from_mins(1) };

/// What a [`Sender`] needs.
#[derive(Debug)]
pub struct SenderSettings {
    /// Ranges that messages may be sent to although they are not public; plain HTTP only goes there.
    pub allow_private: Vec<AddressRange>,
    /// The key that push services know this Keystile by.
    pub vapid: VapidKey,
    /// The console's host, as in `gate.example.org`: part of Message-IDs, and what messages are signed
    /// with.
    pub console_host: String,
    /// Certificates that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why no [`Sender`] can be had.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    /// The file of certificates cannot be read.
    #[error("{path} cannot be read as PEM certificates: {fault}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

/// What the other side answered to a message that it took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its words, safe to show, at most 500 characters.
    pub said: String,
}

/// Why a receiver did not take a message. The texts are safe to show.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// Another attempt may succeed.
    #[error("{said}")]
    Later {
        /// What the other side said, or what went wrong.
        said: String,
        /// How long it asked to be left alone, at most a day.
        after: Option<Span>,
    },
    /// No attempt with the same settings will succeed.
    #[error("{said}")]
    Never {
        /// What the other side said, and what the owner can do.
        said: String,
    },
    /// The receiver does not exist any more: remove the subscription, disable the channel.
    #[error("{said}")]
    Gone {
        /// What the other side said.
        said: String,
    },
}

impl SendError {
    fn later(said: &str) -> Self {
        Self::Later { said: said_by(said), after: None }
    }

    fn never(said: &str) -> Self {
        Self::Never { said: said_by(said) }
    }
}

/// Sends messages. One serves all channels; it is not changed by what it sends.
#[derive(Debug)]
pub struct Sender {
    http: http::HttpClient,
    mail: email::MailClient,
    vapid: VapidKey,
    host: String,
}

impl Sender {
    /// Reads the certificates that are trusted.
    pub fn new(settings: SenderSettings) -> Result<Self, SenderError> {
        Self::with(AddressGuard::new(settings.allow_private.clone()), LIMITS, settings)
    }

    fn with(
        guard: AddressGuard,
        limits: Limits,
        settings: SenderSettings,
    ) -> Result<Self, SenderError> {
        let extra = settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let host = domain(&settings.console_host);
        Ok(Self {
            http: http::HttpClient::new(guard, limits.http, &extra),
            mail: email::MailClient::new(host.clone(), limits.smtp, extra),
            vapid: settings.vapid,
            host,
        })
    }

    /// Makes one attempt. `now` is the wall clock's time: receivers refuse a signature that is minutes
    /// off.
    pub async fn send(
        &self,
        channel: &ChannelSettings,
        message: &Message,
        now: Timestamp,
    ) -> Result<Accepted, SendError> {
        let shown = Shown::of(message);
        let request = match channel {
            ChannelSettings::Email(settings) => {
                return self.mail.send(settings, message, &shown).await;
            }
            ChannelSettings::WebPush { subscription, contact } => {
                let home = format!("https://{}", self.host);
                let sender = web_push::PushSender {
                    key: &self.vapid,
                    contact: contact.as_deref().unwrap_or(&home),
                    home: &home,
                };
                web_push::request(subscription, message, &shown, &sender, now)?
            }
            ChannelSettings::Webhook { url, secrets } => {
                webhook::request(url, secrets, message, &shown, now)
            }
            ChannelSettings::Slack { .. }
            | ChannelSettings::Discord { .. }
            | ChannelSettings::Teams { .. }
            | ChannelSettings::Ntfy { .. }
            | ChannelSettings::Gotify { .. }
            | ChannelSettings::Telegram { .. }
            | ChannelSettings::Pushover { .. }
            | ChannelSettings::Matrix { .. } => chat::request(channel, message, &shown),
        };
        self.http.send(request, now).await
    }
}

/// Something to show from what another machine said.
fn said_by(text: &str) -> String {
    // An answer may be 64 KiB of anything; one line of it says enough.
    let text = shortened(text.trim(), SAID_CHARS_MAX);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = printable(&line);
    match line.char_indices().nth(SAID_CHARS_MAX) {
        None => line.into_owned(),
        Some(_) => shortened(&line, SAID_CHARS_MAX - 1).into_owned(),
    }
}

/// The host as the right side of a Message-ID: only what a domain may hold.
fn domain(host: &str) -> String {
    let name = host.split(':').next().unwrap_or_default();
    let is_domain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name = name.chars().filter(is_domain).take(200).collect::<String>();
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_ascii_lowercase() }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SenderError> {
    let fault = |fault: String| SenderError::CaFile { path: path.to_owned(), fault };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| fault(error.to_string()))?;
    if found.is_empty() { Err(fault("it has no certificate".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
