//! `keystile demo`: a small API, Keystile in front of it, and applications that call it.
//!
//! [`bookmarks`] is the API, with a store of its own. [`traffic`] calls it through the gate, over sockets like
//! any client. [`watch`] sees what an owner sees, and [`lines`] prints it.
//!
//! # What this protects
//!
//! The demo leaves nothing behind. All files are in one temporary folder, all else is in this process, and every
//! way out, by a signal, a closed output or a failure, goes through the end of [`run`].

mod bookmarks;
mod lines;
mod setup;
mod traffic;
mod watch;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use jiff::tz::TimeZone;
use keystile_core::owners::principal::Principal;
use keystile_engine::Engine;
use keystile_engine::keys::create::CreateKeys;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::cli::Screen;
use crate::cli::arguments::DemoArguments;
use crate::config::{self, Colors};
use crate::run::print;
use crate::server::Server;
use bookmarks::Api;
use lines::{Intro, Lines};
use setup::{CONSOLE_DEFAULT, GATE_DEFAULT, address, configuration, program, quoted};
use traffic::{Caller, Read, behave, misbehave};
use watch::{Sight, Watch};

/// More bookmarks than the misbehaving application can destroy before its key locks.
const SEEDS: u32 = 40;
/// How often the journal and the keys are looked at.
const LOOK: Duration = Duration::from_millis(120);

/// Runs the demo until it is told to stop.
pub async fn run(arguments: &DemoArguments) -> anyhow::Result<()> {
    // Before there is anything to clean up: from here on no signal ends the process by itself.
    let mut ending = Ending::prepare()?;
    let folder = tempfile::Builder::new().prefix("keystile-demo-").tempdir();
    let folder = folder.context("a temporary folder cannot be created")?;
    let path = folder.path().to_owned();
    let shown = perform(arguments, &path, &mut ending).await;
    let removed = folder.close();
    shown?;
    removed.with_context(|| format!("{} cannot be removed", path.display()))?;
    // The reader may have left; the work is done all the same.
    let last = "\nThe demo has ended. Its processes, ports and files are gone.\n";
    let _ = print(last, Duration::from_secs(1)).await;
    Ok(())
}

/// Everything that asks the demo to end.
struct Ending {
    signals: [Signal; 3],
}

impl Ending {
    fn prepare() -> std::io::Result<Self> {
        let [interrupt, terminate, hang_up] =
            [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self { signals: [interrupt?, terminate?, hang_up?] })
    }

    async fn requested(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.signals;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

/// Starts the API and Keystile, shows them, and stops both.
async fn perform(
    arguments: &DemoArguments,
    folder: &Path,
    ending: &mut Ending,
) -> anyhow::Result<()> {
    let api = Api::start(&folder.join("bookmarks.db"), SEEDS)
        .await
        .context("the sample API cannot start")?;
    let gate = address(arguments.gate, GATE_DEFAULT, "--gate")?;
    let console = address(arguments.console, CONSOLE_DEFAULT, "--console")?;
    if !console.ip().is_loopback() {
        bail!("--console {console} can be reached by other machines: give one as 127.0.0.1:7080");
    }
    let file = folder.join("keystile.toml");
    std::fs::write(&file, configuration(gate, console, api.address))?;
    let configuration =
        config::load(&file).map_err(|report| anyhow!("{}", report.render(80, Colors::Off)))?;
    let data = configuration.data.clone();
    let mut server = Server::start(configuration, Some(file.clone())).await?;
    let shown = show(&mut server, &api, &file, &data, ending).await;
    server.stop().await;
    api.stop().await;
    shown
}

/// Prints what happens while applications call.
async fn show(
    server: &mut Server,
    api: &Api,
    file: &Path,
    data: &Path,
    ending: &mut Ending,
) -> anyhow::Result<()> {
    let gate = keystile_core::policy::example_call::reachable(
        *server.gate().first().context("the gate has no address")?,
    );
    let engine = &server.engine().clone();
    let mut callers = Vec::new();
    for (application, plan) in
        [("reader", "open"), ("wiki", "trusted"), ("sweeper", "open"), ("you", "open")]
    {
        let key = Some(new_key(engine, application, plan).await?);
        callers.push(Caller { address: gate, application, key });
    }
    let [reader, wiki, sweeper, you]: [Caller; 4] =
        callers.try_into().ok().context("four applications were made")?;
    let principal = Principal::CommandLine { account: "demo".to_owned() };
    let link = server.link_without_owner(&principal).await?;
    let intro = Intro {
        gate: format!("http://{gate}"),
        api: format!("http://{}", api.address),
        health: format!("http://{}", server.console()),
        console: link.map_or_else(|| engine.console_url(), |link| link.url),
        file: quoted(file),
        data: quoted(data),
        program: program(),
        key: you.key.unwrap_or_default(),
    };
    let watch = Watch::begin(engine.clone()).await?;
    let (sender, reads) = mpsc::channel(16);
    let mut applications = JoinSet::new();
    applications.spawn(behave(reader, 0));
    applications.spawn(behave(wiki, 1));
    applications.spawn(misbehave(sweeper, sender));
    let ended = tokio::select! {
        () = ending.requested() => Ok(()),
        failed = server.failed() => Err(failed.into()),
        ended = print_sights(engine, watch, reads, &intro) => ended,
    };
    applications.shutdown().await;
    ended
}

/// Prints lines until that fails.
async fn print_sights(
    engine: &Engine,
    mut watch: Watch,
    mut reads: mpsc::Receiver<Read>,
    intro: &Intro,
) -> anyhow::Result<()> {
    // Once for each batch of lines: a terminal changes its size.
    let lines = || Lines::new(Screen::detect(engine.store().now()), TimeZone::system());
    let mut text = lines().intro(intro);
    loop {
        match print(&text, Duration::MAX).await {
            // Whoever read the output has read enough.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
            written => written.context("the output cannot be written")?,
        }
        text.clear();
        let read = tokio::time::timeout(LOOK, reads.recv()).await.ok().flatten();
        let sights = watch.look().await?;
        if read.is_none() && sights.is_empty() {
            continue;
        }
        let lines = lines();
        for sight in sights {
            text.push_str(&match sight {
                Sight::Record(record, standing) => lines.record(&record, standing.as_ref()),
                Sight::Key(key) => lines.key(&key, intro),
            });
        }
        text.extend(read.map(|read| lines.read(engine.store().now(), &read)));
    }
}

async fn new_key(engine: &Arc<Engine>, application: &str, plan: &str) -> anyhow::Result<String> {
    let command =
        CreateKeys { application: application.to_owned(), plan: Some(plan.to_owned()), count: 1 };
    let keys = engine.execute(&watch::principal(), command).await?;
    keys.into_iter().next().map(|key| key.key).context("no key was issued")
}
