//! The backend as gateways and clients reach it: a listener of its own.
//!
//! # What this protects
//!
//! Heads, bodies and connections are bounded, and a slow client holds up nobody: each thread serves its
//! connections side by side, and nothing but a commit is waited for.

mod body;
mod connection;
mod gateways;
mod internal;
mod respond;
mod route;
mod served;
mod transactions;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use rustls::ServerConfig;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use self::body::BodyRoom;
use self::gateways::access::Access as GatewayAccess;
pub use self::gateways::access::GatewaySettings;
use self::internal::access::Access;
use self::served::Served;
use crate::account::{Account, MirrorRule, WriteRule};

/// How the backend is served.
#[derive(Clone, Debug)]
pub struct BackendSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Who may use the internal API; nobody where `None`.
    pub internal: Option<InternalUser>,
    /// Which gateways boot from this backend; none where `None`.
    pub gateways: Option<GatewaySettings>,
    /// Which metrics are writes; none where `None`.
    pub writes: Option<WriteRule>,
    /// Which of its applications are here as well; none where `None`.
    pub mirror: Option<MirrorRule>,
    /// Certificate and key for TLS; without, it is served in the clear.
    pub tls: Option<TlsFiles>,
    /// How many threads serve it, at least one.
    pub threads: usize,
}

/// Where certificate and key for TLS are, in PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain.
    pub certificate: PathBuf,
    /// The private key of its first certificate.
    pub key: PathBuf,
}

/// Who may use the internal API, by HTTP Basic.
#[derive(Clone, PartialEq, Eq)]
pub struct InternalUser {
    /// The name, without a colon.
    pub user: String,
    /// The password.
    pub password: String,
    /// Whether they may call from other machines.
    pub remote: bool,
}

impl fmt::Debug for InternalUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InternalUser").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A backend that serves. Dropping it without [`BackendServer::stop`] leaves it to the end of the process.
#[derive(Debug)]
pub struct BackendServer {
    address: SocketAddr,
    stopping: watch::Sender<bool>,
    /// Closed once a thread has ended.
    ended: watch::Receiver<()>,
    threads: Vec<JoinHandle<()>>,
}

/// Says which services gateways cannot serve.
fn warn_of_services_without_gateways(account: &Account) {
    let services = account.services_without_gateways();
    if !services.is_empty() {
        let services = services.join(", ");
        tracing::warn!(
            services,
            "gateways are told nothing of these services: no configuration of theirs was brought over by \
             `keystile threescale import`"
        );
    }
}

impl BackendServer {
    /// Listens and serves, with TLS where there is some to serve with; once this returns, calls are answered.
    ///
    /// # Errors
    /// When the address cannot be listened on, or a thread cannot be started.
    pub fn start(
        account: &Arc<Account>,
        settings: &BackendSettings,
        tls: Option<Arc<ServerConfig>>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(settings.listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let (stopping, stop) = watch::channel(false);
        let (alive, ended) = watch::channel(());
        let alive = Arc::new(alive);
        let internal = settings.internal.as_ref();
        let internal =
            internal.map(|who| Access::new(account, (&who.user, &who.password), who.remote));
        let gateways = settings.gateways.as_ref();
        let gateways = gateways.map(|settings| {
            account.accept_gateways(&settings.service_token);
            warn_of_services_without_gateways(account);
            GatewayAccess::new(account, settings, if tls.is_some() { "https" } else { "http" })
        });
        let room = BodyRoom::default();
        let served = Arc::new(Served { account: account.clone(), internal, gateways, room });
        let acceptor = tls.map(TlsAcceptor::from);
        let mut threads = Vec::new();
        for number in 0..settings.threads.max(1) {
            let (listener, served) = (listener.try_clone()?, served.clone());
            let (stop, alive, acceptor) = (stop.clone(), alive.clone(), acceptor.clone());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            let thread = std::thread::Builder::new().name(format!("backend-{number}"));
            threads.push(thread.spawn(move || {
                let _alive = alive;
                let serving = connection::serve(listener, served, acceptor, stop);
                if let Err(error) = runtime.block_on(serving) {
                    tracing::error!(%error, "the 3scale backend ended");
                }
            })?);
        }
        Ok(Self { address, stopping, ended, threads })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until all threads have ended, which they do not by themselves.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Lets calls under way finish, and ends.
    pub fn stop(self) {
        self.stopping.send_replace(true);
        for thread in self.threads {
            if thread.join().is_err() {
                tracing::error!("a thread of the 3scale backend had failed");
            }
        }
    }
}
