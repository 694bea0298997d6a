//! 3scale's backend in a running server.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use keystile_engine::Engine;
use keystile_proxy::settings::TlsFiles;
use keystile_proxy::tls::{Certificates, server_config};
use keystile_store::error::Error as StoreError;
use keystile_threescale::account::Account;
use keystile_threescale::server::{BackendServer, BackendSettings};
use rustls::ServerConfig;

/// How often what nobody waits for is written.
const SAVING: Duration = Duration::from_secs(1);

/// How often it is looked whether the certificate is another.
const LOOKING: Duration = Duration::from_secs(10);

/// A backend that serves.
#[derive(Debug)]
pub(crate) struct Backend {
    account: Arc<Account>,
    server: BackendServer,
    certificates: Option<Arc<Certificates>>,
}

/// What the backend offers: HTTP/1.1 alone, which is what its clients speak.
fn tls(certificates: Arc<Certificates>) -> Arc<ServerConfig> {
    let mut config = server_config(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

impl Backend {
    /// The backend of a server, where its configuration has one.
    pub(crate) async fn start_if(
        engine: &Arc<Engine>,
        settings: Option<&BackendSettings>,
    ) -> anyhow::Result<Option<Self>> {
        match settings {
            Some(settings) => Self::start(engine, settings).await.map(Some),
            None => Ok(None),
        }
    }

    /// The account that the store keeps, into which another system's can be taken over.
    pub(crate) async fn account(
        engine: &Arc<Engine>,
        settings: &BackendSettings,
    ) -> Result<Arc<Account>, StoreError> {
        let (writes, mirror) = (settings.writes.clone(), settings.mirror.clone());
        let account = Account::open(engine.clone(), writes, mirror).await?;
        let kept = engine.account_keeper.set(account.clone());
        kept.expect("an engine gets its account once, when it is made");
        Ok(account)
    }

    /// Reads the account that the store keeps, and serves it.
    async fn start(engine: &Arc<Engine>, settings: &BackendSettings) -> anyhow::Result<Self> {
        let account = Self::account(engine, settings).await?;
        account.follow_all().await?;
        let certificates = settings.tls.as_ref().map(|files| {
            let (certificate, key) = (files.certificate.clone(), files.key.clone());
            Certificates::read(&TlsFiles { certificate, key })
        });
        let certificates = certificates.transpose()?;
        let server = BackendServer::start(&account, settings, certificates.clone().map(tls))
            .with_context(|| format!("cannot serve the 3scale backend on {}", settings.listen))?;
        Ok(Self { account, server, certificates })
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Writes what nobody waits for, every second, and reads certificates again now and then.
    pub(crate) fn saving(&self) -> impl Future<Output = ()> + Send + 'static {
        let (account, certificates) = (self.account.clone(), self.certificates.clone());
        async move {
            let mut seconds = tokio::time::interval(SAVING);
            let mut looks = tokio::time::interval(LOOKING);
            loop {
                tokio::select! {
                    _ = seconds.tick() => {
                        if let Err(error) = account.save().await {
                            tracing::debug!(%error, "usage could not be written; it will be");
                        }
                    }
                    _ = looks.tick() => {
                        if let Some(Err(error)) = certificates.as_ref().map(|pair| pair.refresh()) {
                            tracing::warn!(%error, "the 3scale backend's certificate stays");
                        }
                    }
                }
            }
        }
    }

    /// Waits until a thread of a backend ends that should not; for ever where there is none.
    pub(crate) async fn ended(backend: Option<&Self>) {
        match backend {
            Some(backend) => backend.server.ended().await,
            None => std::future::pending().await,
        }
    }

    /// Lets calls under way finish, and writes what was counted.
    pub(crate) async fn stop(self) {
        let Self { account, server, .. } = self;
        if tokio::task::spawn_blocking(move || server.stop()).await.is_err() {
            tracing::error!("the 3scale backend did not end in order");
        }
        if let Err(error) = account.save().await {
            tracing::warn!(%error, "the usage of the last second could not be written");
        }
    }
}
