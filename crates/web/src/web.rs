//! What every handler sees.

use std::fmt;
use std::sync::Arc;

use keystile_engine::Engine;

use crate::feed::Feed;
use crate::flash::Flashes;
use crate::sign_in::webauthn::Ceremonies;
use crate::traffic::Traffic;

/// Who may read what machines ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Whoever reaches the console's address.
    #[default]
    Open,
    /// Whoever shows a token of the admin API.
    Token,
    /// Nobody: there is no such page.
    Off,
}

/// How the console is reached.
#[derive(Clone, Debug)]
pub struct WebSettings {
    /// Its address as the owner's browser knows it, as in `https://console.example.org`; the address that
    /// it listens on where `None`.
    pub url: Option<String>,
    /// Where it listens.
    pub listen: std::net::SocketAddr,
    /// Whether browsers reach it over TLS, its own or a proxy's.
    pub is_secure: bool,
    /// Whether a proxy stands in front; passkeys then need a `url`.
    pub behind_proxy: bool,
    /// Who may read `/healthz` and `/readyz`.
    pub health: Access,
    /// Who may read `/metrics`.
    pub metrics: Access,
    /// The public key by which push services know this server, in base64url.
    pub push_key: String,
    /// The configuration file that the policy page shows; `None` for a server without one.
    pub file: Option<std::path::PathBuf>,
}

/// The console's state, shared by its handlers.
pub struct Web {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: WebSettings,
    pub(crate) metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub(crate) flashes: Flashes,
    pub(crate) traffic: Traffic,
    pub(crate) passkeys: Ceremonies,
    pub(crate) feed: Feed,
    session_cookie: String,
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Web {
    /// The console of an engine. `metrics` renders the process's metrics for Prometheus.
    pub fn new(
        engine: Arc<Engine>,
        settings: WebSettings,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> Arc<Self> {
        let passkeys = Ceremonies::new(&settings);
        let session_cookie =
            crate::sign_in::session::cookie_name(&settings, engine.store().pepper());
        Arc::new(Self {
            engine,
            passkeys,
            settings,
            metrics: Box::new(metrics),
            flashes: Flashes::default(),
            traffic: Traffic::default(),
            feed: Feed::default(),
            session_cookie,
        })
    }

    /// What the cookie is called that holds an owner's session.
    pub fn session_cookie(&self) -> &str {
        &self.session_cookie
    }

    /// Work that goes on beside the handlers, for ever.
    pub async fn run_maintenance(self: Arc<Self>) {
        let mut ticks = tokio::time::interval(crate::traffic::SAMPLE_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.traffic.sample(&(self.metrics)());
        }
    }
}
