//! The configuration with parsed types: what the rest of the program works with.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use keystile_core::keys::text::KeyPrefix;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::policy::Policy;
use keystile_core::time::Span;
use keystile_proxy::settings::{GateSettings, TlsFiles};
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale::server::BackendSettings;
use keystile_web::Access;

use super::diagnostic::Diagnostic;

/// Everything that the owner decided, checked.
#[derive(Debug)]
pub struct Configuration {
    /// The folder of store, journal and control socket.
    pub data: PathBuf,
    /// How long a write may wait to be durable.
    pub store_timeout: Span,
    /// Where callers arrive.
    pub gate: GateSettings,
    /// Where the owner looks.
    pub console: ConsoleSettings,
    /// Where 3scale's backend is served; nowhere where `None`.
    pub threescale_backend: Option<BackendSettings>,
    /// APIs and plans.
    pub policy: Policy,
    /// Whether the command line asked for every API to be observed, whatever a file says of it.
    pub observes_all: bool,
    /// What the owner is told, and on which channels.
    pub watching: Arc<WatchRules>,
    /// What new keys begin with.
    pub keys: KeyPrefix,
    /// The record of every write.
    pub journal: JournalSettings,
    /// Accounts of 3scale that stay in charge of keys and plans.
    pub threescale: Vec<DriveSettings>,
    /// What is probably not meant.
    pub warnings: Vec<Diagnostic>,
}

impl Configuration {
    /// The same, with nothing refused.
    #[must_use]
    pub fn observing(self) -> Self {
        Self { policy: self.policy.observing(), observes_all: true, ..self }
    }
}

/// Where the owner looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// Certificate and key, PEM; plain HTTP where `None`.
    pub tls: Option<TlsFiles>,
    /// Whether a proxy with TLS stands in front.
    pub behind_proxy: bool,
    /// Where owners open it, without a slash at the end; see [`ConsoleSettings::url`].
    pub public_url: Option<String>,
    /// Who may read `/healthz` and `/readyz`.
    pub health: Access,
    /// Who may read `/metrics`.
    pub metrics: Access,
}

impl ConsoleSettings {
    /// Where owners open the console that listens on an address, without a slash at the end.
    ///
    /// Passkeys belong to a host name, so this machine is called `localhost`.
    pub fn url(&self, listen: SocketAddr) -> String {
        if let Some(url) = &self.public_url {
            return url.clone();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        if listen.ip().is_loopback() || listen.ip().is_unspecified() {
            format!("{scheme}://localhost:{}", listen.port())
        } else {
            format!("{scheme}://{listen}")
        }
    }
}

/// How long the journal reaches back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalSettings {
    /// How long records are kept; for ever where `None`.
    pub retention: Option<Span>,
}
