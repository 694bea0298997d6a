//! The gate: Keystile in front of an HTTP API.
//!
//! # The life of a request, by file
//!
//! `listen` accepts it on one core, where it stays. `connection` and `scan` watch its bytes on their way to
//! hyper's parser. `serve` takes a request from there; `request` hands its head to the engine, which
//! admits it or not, or has its key looked up where another system may know it. `read` sends what may be sent at once; `write` has the engine count the body if it
//! must, and reserve room, before. `outgoing` makes the request that goes out, and `forward` sends it
//! through `upstream`, once. `answer` is what the upstream says, `response` what Keystile says itself.
//! `linger` ends the connection.
//!
//! # One core, one runtime
//!
//! Each core has its own listeners, timers and upstream connections, and shares only the policy, the key
//! table and the store's queue. A read takes no lock and never leaves its thread.

use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::thread::JoinHandle;

use keystile_engine::Engine;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

mod body;
mod buffer;
mod caller;
mod deadline;
mod executor;
mod forward_read;
mod forward_write;
mod meter;
mod own_answer;
mod relay;
mod request;
mod serve;
pub mod settings;
pub mod tls;
mod upstream;
mod websocket;
mod worker;

use buffer::Buffers;
use caller::connection_limiter::ConnectionLimiter;
use caller::listen::WorkerStart;
pub use meter::describe as describe_metrics;
use settings::GateSettings;
use tls::{Certificates, TlsError};

/// Why the gate could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A thread or runtime cannot be had.
    #[error("a core could not be started")]
    Worker(#[source] io::Error),
    /// The certificate cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A gate that serves.
#[derive(Debug)]
pub struct Gate {
    addresses: Vec<std::net::SocketAddr>,
    cores: Vec<JoinHandle<()>>,
    drain: watch::Sender<bool>,
    limiter: Arc<ConnectionLimiter>,
    certificates: Option<Arc<Certificates>>,
    core_ended: watch::Receiver<bool>,
}

impl Gate {
    /// Binds all addresses and begins to serve. A port of 0 is chosen by the system.
    pub fn open(engine: &Arc<Engine>, settings: GateSettings) -> Result<Self, OpenError> {
        let workers = settings.workers.or_else(|| std::thread::available_parallelism().ok());
        let workers = workers.map_or(1, NonZeroUsize::get);
        let certificates = settings.tls.as_ref().map(Certificates::read).transpose()?;
        let mut addresses = Vec::new();
        let mut by_core: Vec<Vec<std::net::TcpListener>> =
            (0..workers).map(|_| Vec::new()).collect();
        for asked in &settings.listen {
            let mut address = *asked;
            // Shared sockets would let a second server take a part of the first one's callers, silently.
            std::net::TcpListener::bind(address)
                .map_err(|source| OpenError::Bind { address, source })?;
            for listeners in &mut by_core {
                let bound = |source| OpenError::Bind { address, source };
                let listener = caller::listen::bind(address).map_err(bound)?;
                address = listener.local_addr().map_err(bound)?;
                listeners.push(listener);
            }
            addresses.push(address);
        }
        let (drain, draining) = watch::channel(false);
        let limiter = Arc::new(ConnectionLimiter::default());
        let buffers = Buffers::new(settings.buffers_max);
        let settings = Arc::new(settings);
        let (ended, core_ended) = watch::channel(false);
        let mut cores = Vec::new();
        for (number, listeners) in by_core.into_iter().enumerate() {
            let start = WorkerStart {
                engine: engine.clone(),
                settings: settings.clone(),
                listeners,
                certificates: certificates.clone(),
                limiter: limiter.clone(),
                buffers: buffers.clone(),
                drain: draining.clone(),
            };
            let served = move || caller::listen::run_core(start);
            cores.push(spawn_core(number, served, ended.clone()).map_err(OpenError::Worker)?);
        }
        Ok(Self { addresses, cores, drain, limiter, certificates, core_ended })
    }

    /// Waits until one of its threads has ended. Its connections are cut then, and its listeners closed.
    pub async fn core_ended(&self) {
        // Where nobody can say so any more, all have ended.
        let _ = self.core_ended.clone().wait_for(|ended| *ended).await;
    }

    /// Where it listens.
    pub fn addresses(&self) -> &[std::net::SocketAddr] {
        &self.addresses
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.limiter.open()
    }

    /// Reads the certificate again where its files have changed.
    pub fn refresh_certificates(&self) -> Result<(), TlsError> {
        self.certificates.as_ref().map_or(Ok(()), |certificates| certificates.refresh())
    }

    /// Takes no more connections, lets requests under way finish within the drain timeout, and ends.
    pub fn drain(self) {
        // A core that has ended already has nothing to drain.
        let _ = self.drain.send(true);
        for core in self.cores {
            if core.join().is_err() {
                tracing::error!("a core had failed");
            }
        }
    }
}

/// Says that a core has ended when it is dropped, also by a panic.
struct Ended(watch::Sender<bool>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.send_replace(true);
    }
}

fn spawn_core<F, S>(
    number: usize,
    served: F,
    ended: watch::Sender<bool>,
) -> io::Result<JoinHandle<()>>
where
    F: FnOnce() -> S + Send + 'static,
    S: Future<Output = io::Result<()>>,
{
    std::thread::Builder::new().name(format!("gate-{number}")).spawn(move || {
        let _ended = Ended(ended);
        let runtime = Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(4)
            .build_local(LocalOptions::default());
        let served = runtime.and_then(|runtime| runtime.block_on(served()));
        if let Err(error) = served {
            tracing::error!(%error, "a core ended");
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The panic is a real one, in a real thread.
    #[tokio::test]
    async fn a_core_that_ends_by_a_panic_or_a_failure_is_noticed() {
        let panicking = || async { panic!("a fault of our own") };
        let failing = || async { Err(io::Error::other("a socket is gone")) };
        let (ended, noticed) = watch::channel(false);
        let core = spawn_core(0, panicking, ended).unwrap();
        noticed.clone().wait_for(|ended| *ended).await.unwrap();
        assert!(core.join().is_err());
        let (ended, noticed) = watch::channel(false);
        let core = spawn_core(1, failing, ended).unwrap();
        noticed.clone().wait_for(|ended| *ended).await.unwrap();
        core.join().unwrap();
    }
}
