//! A running server: store, engine, gate, console and control socket, from start to orderly end.

mod engine_settings;
mod reload;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context;
use keystile_core::owners::principal::Principal;
use keystile_engine::command::Failure;
use keystile_engine::owners::claim::{ClaimLink, MakeClaimLink};
use keystile_engine::reload::Reload;
use keystile_engine::{Engine, ServerInfo};
use keystile_notify::VapidKey;
use keystile_notify::worker::{self, Notifier};
use keystile_proxy::Gate;
use keystile_proxy::tls::Certificates;
use keystile_store::Store;
use keystile_store::error::Error as StoreError;
use keystile_store::files::DataDirectory;
use keystile_web::router::router;
use keystile_web::{Web, WebSettings};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::UnixListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

pub use self::engine_settings::engine_settings;
use self::engine_settings::gate_names;
use self::reload::Configured;
use crate::backend::Backend;
use crate::config::{Configuration, ConsoleSettings};
use crate::key_sources::KeySources;
use crate::{console, control, probe};

/// How often work that nobody asks for is done.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// A command may hold the data directory for a moment while a server starts.
const HOLD_TRIES: u32 = 20;
const HOLD_PAUSE: Duration = Duration::from_millis(100);

/// A server that serves. Dropping it without [`Server::stop`] cuts requests off.
#[derive(Debug)]
pub struct Server {
    engine: Arc<Engine>,
    data: PathBuf,
    gate: Gate,
    backend: Option<Backend>,
    console: SocketAddr,
    tasks: JoinSet<()>,
    /// What the tasks are, for a message.
    names: HashMap<tokio::task::Id, &'static str>,
    notifier: Notifier,
    left_unknown: usize,
}

/// A part of the server has ended by itself. Without it the server is not whole, and must not go on as if it
/// were: whoever started it starts it anew.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} ended unexpectedly, so the server stopped; its log says why")]
pub struct PartEnded(&'static str);

/// The signals that a server minds. Made before it starts: one that came in between would end it.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// Begins to listen to them.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }
}

/// Takes a data directory for this process, waiting a moment for a command that holds it.
pub async fn hold(data: &Path) -> Result<DataDirectory, StoreError> {
    for _ in 0..HOLD_TRIES {
        match DataDirectory::hold(data) {
            Err(StoreError::InUse { .. }) => tokio::time::sleep(HOLD_PAUSE).await,
            other => return other,
        }
    }
    DataDirectory::hold(data)
}

/// The process has one place where metrics are gathered, however many servers run in it.
fn metrics_handle() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let recorder = PrometheusBuilder::new().build_recorder();
            let handle = recorder.handle();
            if metrics::set_global_recorder(recorder).is_err() {
                tracing::error!("metrics are gathered elsewhere; /metrics stays empty");
            }
            keystile_proxy::describe_metrics();
            console::describe_metrics();
            handle
        })
        .clone()
}

impl Server {
    /// Starts a server; once this returns it serves. `file` is what a reload reads.
    pub async fn start(
        configuration: Configuration,
        file: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let (metrics, settings) = (metrics_handle(), engine_settings(&configuration));
        let Configuration {
            data,
            store_timeout,
            gate,
            console: console_settings,
            threescale_backend,
            policy,
            observes_all,
            threescale,
            ..
        } = configuration;
        probe::disk_of(&data)?;
        let directory = hold(&data).await?;
        let (store, opened) = Store::open(directory)?;
        store.set_timeout(store_timeout);
        let engine = Arc::new(Engine::new(store, policy, settings));
        engine.checks.set(crate::reach::CHECKS).expect("the engine was made just now");
        let (key_sources, account_tasks) = KeySources::new();
        let accounts = key_sources.prepare(threescale).await?;
        accounts.install(&engine);
        // Before the first write can come.
        engine.begin_watching().await;
        let tls = gate.tls.clone();
        let gate = Gate::open(&engine, gate)?;
        let certificates = console_settings.tls.as_ref().map(Certificates::read).transpose()?;
        let listener = tokio::net::TcpListener::bind(console_settings.listen)
            .await
            .with_context(|| format!("cannot listen on {}", console_settings.listen))?;
        let console = listener.local_addr()?;
        let control = bind_control(&engine, &data)?;
        let backend = Backend::start_if(&engine, threescale_backend.as_ref()).await?;
        let info = ServerInfo {
            started: engine.store().now(),
            gate: gate_names(gate.addresses(), tls.as_ref()),
            console: console.to_string(),
            console_url: console_settings.url(console),
        };
        engine.server.set(info).expect("the engine was made just now");
        let vapid = vapid(&engine).await?;
        let push_key = vapid.public_base64();
        let web =
            web(&engine, file.clone(), &console_settings, (console, metrics.clone(), push_key));
        let (mut tasks, mut names) = (JoinSet::new(), HashMap::new());
        let following = account_tasks.run(engine.clone());
        names.insert(tasks.spawn(following).id(), "the work on key sources");
        key_sources.put_in_force(&engine, accounts).await;
        let configured = Configured { file, observes_all, key_sources };
        engine.reloader.set(configured.reloader()).expect("the engine was made just now");
        let serving =
            console::serve(listener, router(web.clone()), certificates.clone(), console_settings);
        names.insert(tasks.spawn(serving).id(), "the console");
        names.insert(tasks.spawn(web.run_maintenance()).id(), "the console's housekeeping");
        let (commanded, folder) = (engine.clone(), data.clone());
        let controlling = async move {
            match control {
                Some(control) => control::serve(control, commanded).await,
                None => control::listen_and_serve(folder, commanded).await,
            }
        };
        names.insert(tasks.spawn(controlling).id(), "the control socket");
        let notifier = worker::start(engine.clone(), &vapid);
        let housekeeping = run_maintenance(engine.clone(), metrics, certificates);
        names.insert(tasks.spawn(housekeeping).id(), "the housekeeping");
        if let Some(backend) = &backend {
            names.insert(tasks.spawn(backend.saving()).id(), "the 3scale backend's housekeeping");
        }
        let left_unknown = opened.left_unknown;
        Ok(Self { engine, data, gate, backend, console, tasks, names, notifier, left_unknown })
    }

    /// The engine behind it.
    pub fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Where callers arrive.
    pub fn gate(&self) -> &[SocketAddr] {
        self.gate.addresses()
    }

    /// Where 3scale's backend is served, if it is.
    pub fn backend(&self) -> Option<SocketAddr> {
        self.backend.as_ref().map(Backend::address)
    }

    /// Where health and metrics are.
    pub fn console(&self) -> SocketAddr {
        self.console
    }

    /// A link with which somebody becomes the first owner; none where there is an owner.
    pub async fn link_without_owner(
        &self,
        principal: &Principal,
    ) -> Result<Option<ClaimLink>, Failure> {
        let engine = self.engine();
        if engine.has_owner().await? {
            engine.remove_used_link().await?;
            return Ok(None);
        }
        engine.execute(principal, MakeClaimLink).await.map(Some)
    }

    /// Waits until a part of the server ends that should not.
    pub async fn failed(&mut self) -> PartEnded {
        let Self { engine, gate, backend, tasks, names, notifier, .. } = self;
        tokio::select! {
            () = engine.store().writer_ended() => PartEnded("the store's writer"),
            () = gate.core_ended() => PartEnded("a thread of the gate"),
            () = Backend::ended(backend.as_ref()) => PartEnded("a thread of the 3scale backend"),
            () = notifier.ended() => PartEnded("the notifier"),
            Some(ended) = tasks.join_next_with_id() => {
                let id = ended.map_or_else(|error| error.id(), |(id, ())| id);
                PartEnded(names.get(&id).copied().unwrap_or("a task"))
            }
        }
    }

    /// Serves until SIGTERM or SIGINT, reloading at SIGHUP, and stops; it stops as well, and says so, where
    /// a part of it ends by itself.
    pub async fn until_signalled(mut self, mut signals: Signals) -> Result<(), PartEnded> {
        if self.left_unknown > 0 {
            tracing::warn!(
                writes = self.left_unknown,
                "writes were under way when the last server ended; their outcome is now `unknown`, and they stay counted"
            );
        }
        if let Some(problem) = self.engine().store().directory().exposure() {
            tracing::warn!(problem, "the data directory is open to others; see `keystile doctor`");
        }
        let mut certificates = tokio::time::interval(Duration::from_secs(10));
        notify_system(&[sd_notify::NotifyState::Ready]);
        let ended = loop {
            tokio::select! {
                _ = signals.terminate.recv() => break Ok(()),
                _ = signals.interrupt.recv() => break Ok(()),
                ended = self.failed() => break Err(ended),
                _ = signals.hang_up.recv() => {
                    let reloaded = self.engine.execute(&Principal::System, Reload);
                    let reloaded = self.engine.store().unless_hung(reloaded).await;
                    if let Err(failure) = reloaded.unwrap_or_else(|error| Err(error.into())) {
                        tracing::error!(problem = %failure.message, "SIGHUP changed nothing");
                    }
                }
                _ = certificates.tick() => {
                    if let Err(error) = self.gate.refresh_certificates() {
                        tracing::warn!(%error, "the certificate could not be read again; the present one stays");
                    }
                }
            }
        };
        notify_system(&[sd_notify::NotifyState::Stopping]);
        match &ended {
            Ok(()) => tracing::info!("stopping: requests under way may finish"),
            Err(PartEnded(part)) => {
                tracing::error!(part, "a part of the server ended unexpectedly; stopping");
            }
        }
        self.stop().await;
        ended
    }

    /// Lets requests under way finish, writes down what waits, and ends.
    pub async fn stop(mut self) {
        let gate = self.gate;
        if tokio::task::spawn_blocking(move || gate.drain()).await.is_err() {
            tracing::error!("the gate did not end in order");
        }
        if let Some(backend) = self.backend {
            backend.stop().await;
        }
        self.notifier.stop().await;
        self.tasks.shutdown().await;
        self.engine.finish_key_sources().await;
        self.engine.write_refused();
        self.engine.finish_refused_links().await;
        self.engine.finish_sign_ins().await;
        self.engine.store().close();
        // The next start removes it too; while no server runs it only confuses.
        let _ = std::fs::remove_file(control::socket_path(&self.data));
    }
}

/// The key by which push services know this server; made at the first start.
async fn vapid(engine: &Arc<Engine>) -> anyhow::Result<VapidKey> {
    if let Some(kept) = engine.store().vapid_key().await? {
        return Ok(VapidKey::from_pkcs8(&kept)?);
    }
    let new = VapidKey::generate()?.pkcs8().to_vec();
    // A store that cannot commit still serves reads; the key is then made anew at the next start.
    let kept = engine.store().keep_vapid_key(new.clone()).await.unwrap_or(new);
    Ok(VapidKey::from_pkcs8(&kept)?)
}

/// The control socket; nothing while the disk takes no writes, which does not keep the gate shut.
fn bind_control(engine: &Engine, data: &Path) -> anyhow::Result<Option<UnixListener>> {
    match control::bind(data) {
        Err(_) if engine.store().fault().is_some() => Ok(None),
        bound => Ok(Some(bound.context("the control socket cannot be opened")?)),
    }
}

/// The console of a server.
fn web(
    engine: &Arc<Engine>,
    file: Option<PathBuf>,
    settings: &ConsoleSettings,
    (listen, metrics, push_key): (SocketAddr, PrometheusHandle, String),
) -> Arc<Web> {
    let settings = WebSettings {
        url: settings.public_url.clone(),
        listen,
        is_secure: settings.tls.is_some() || settings.behind_proxy,
        behind_proxy: settings.behind_proxy,
        health: settings.health,
        metrics: settings.metrics,
        file,
        push_key,
    };
    let counted = engine.clone();
    Web::new(engine.clone(), settings, move || {
        console::note_state(&counted);
        metrics.render()
    })
}

fn notify_system(states: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}

async fn run_maintenance(
    engine: Arc<Engine>,
    metrics: PrometheusHandle,
    certificates: Option<Arc<Certificates>>,
) {
    let mut ticks = tokio::time::interval(HOUSEKEEPING);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        engine.run_maintenance().await;
        metrics.run_upkeep();
        if let Some(Err(error)) = certificates.as_ref().map(|certificates| certificates.refresh()) {
            tracing::warn!(%error, "the console's certificate could not be read again; the present one stays");
        }
    }
}
