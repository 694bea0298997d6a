//! One attempt to hand one message to one receiver, and what it came to.
//!
//! An attempt ends within its `Limits`, whatever the other side does. Where nobody can know whether
//! the message arrived, as when the connection is cut after the last byte, it is
//! [`AttemptOutcome::Later`]: the next attempt carries the same id, and the receiver drops the repeat.

pub(crate) mod answer;
pub(crate) mod host;
pub(crate) mod http;
pub(crate) mod smtp;

use std::path::{Path, PathBuf};
use std::time::Duration;

use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_core::request::address::AddressRange;
use keystile_core::time::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::address::AddressGuard;
use crate::channel::kind::{Attempt, Destination, Outgoing, SenderIdentity};
use crate::channel::web_push::vapid::VapidKey;
use crate::message::Message;
use crate::render::Shown;

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
pub(crate) struct SenderSettings {
    /// Ranges that messages may be sent to although they are not public; plain HTTP only goes there.
    pub(crate) allow_private: Vec<AddressRange>,
    /// The key that push services know this Keystile by.
    pub(crate) vapid: VapidKey,
    /// The console's host, as in `gate.example.org`: part of Message-IDs, and what messages are signed
    /// with.
    pub(crate) console_host: String,
    /// Certificates that are trusted beside the system's.
    pub(crate) ca_file: Option<PathBuf>,
}

/// Why no [`Sender`] can be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SenderError {
    /// The file of certificates cannot be read.
    #[error("{path} cannot be read as PEM certificates: {fault}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
}

/// Sends messages. One serves all channels that may reach the same networks; it is not changed by what it
/// sends.
#[derive(Debug)]
pub(crate) struct Sender {
    http: http::HttpClient,
    mail: smtp::MailClient,
    identity: SenderIdentity,
}

impl Sender {
    /// Reads the certificates that are trusted.
    pub(crate) fn new(settings: SenderSettings) -> Result<Self, SenderError> {
        Self::with(AddressGuard::new(settings.allow_private.clone()), LIMITS, settings)
    }

    fn with(
        guard: AddressGuard,
        limits: Limits,
        settings: SenderSettings,
    ) -> Result<Self, SenderError> {
        let extra = settings.ca_file.as_deref().map(certificates).transpose()?.unwrap_or_default();
        let host = host::domain(&settings.console_host);
        Ok(Self {
            http: http::HttpClient::new(guard, limits.http, &extra),
            mail: smtp::MailClient::new(host.clone(), limits.smtp, extra),
            identity: SenderIdentity { vapid: settings.vapid, host },
        })
    }

    /// Makes one attempt. `now` is the wall clock's time: receivers refuse a signature that is minutes
    /// off.
    pub(crate) async fn send(
        &self,
        destination: &dyn Destination,
        message: &Message,
        now: Timestamp,
    ) -> AttemptOutcome {
        let shown = Shown::of(message);
        let attempt = Attempt { message, shown: &shown, sender: &self.identity, now };
        match destination.outgoing(&attempt) {
            Ok(Outgoing::Http(request)) => self.http.send(*request, now).await,
            Ok(Outgoing::Mail(mail)) => self.mail.send(*mail).await,
            Err(outcome) => outcome,
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SenderError> {
    let fault = |fault: String| SenderError::CaFile { path: path.to_owned(), fault };
    let found = CertificateDer::pem_file_iter(path).map_err(|error| fault(error.to_string()))?;
    let found = found.collect::<Result<Vec<_>, _>>().map_err(|error| fault(error.to_string()))?;
    if found.is_empty() { Err(fault("it has no certificate".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests;
