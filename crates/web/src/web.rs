//! What every handler sees.

use std::fmt;
use std::sync::Arc;

use keystile_engine::Engine;

use crate::feed::Feed;
use crate::flash::Flashes;
use crate::settings::WebSettings;
use crate::sign_in::cookie::cookie_name;
use crate::sign_in::webauthn::Ceremonies;
use crate::traffic::Traffic;

/// The console's state, shared by its handlers.
pub struct Web {
    pub(crate) engine: Arc<Engine>,
    pub(crate) settings: WebSettings,
    pub(crate) metrics: Box<dyn Fn() -> String + Send + Sync>,
    pub(crate) flashes: Flashes,
    pub(crate) traffic: Traffic,
    pub(crate) passkeys: Ceremonies,
    pub(crate) feed: Arc<Feed>,
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
        let session_cookie = cookie_name(&settings, engine.store().pepper());
        Arc::new(Self {
            passkeys,
            settings,
            metrics: Box::new(metrics),
            flashes: Flashes::default(),
            traffic: Traffic::default(),
            feed: Feed::new(engine.clone()),
            engine,
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
