//! The programs that are compared, each started fresh for every round.

mod haproxy;
mod keystile;
mod nginx;

use std::path::PathBuf;

use crate::keys::Keys;
use crate::process::{self, Memory, PROXY_CORE, Process};
use crate::scratch::{Scratch, free_port};
use crate::{Outcome, http};

pub use keystile::Template;

/// Which program.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Relay,
    HaProxy,
    NginxLua,
    NginxLuaRedis,
    Keystile,
    KeystileOff,
    KeystileWatched,
}

impl Kind {
    pub const ALL: [Self; 7] = [
        Self::Relay,
        Self::HaProxy,
        Self::NginxLua,
        Self::NginxLuaRedis,
        Self::Keystile,
        Self::KeystileOff,
        Self::KeystileWatched,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Relay => "relay",
            Self::HaProxy => "haproxy",
            Self::NginxLua => "nginx-lua",
            Self::NginxLuaRedis => "nginx-lua-redis",
            Self::Keystile => "keystile",
            Self::KeystileOff => "keystile-off",
            Self::KeystileWatched => "keystile-watched",
        }
    }

    pub fn named(name: &str) -> Outcome<Self> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == name);
        kind.ok_or_else(|| format!("no peer is called {name}").into())
    }

    pub fn is_keystile(self) -> bool {
        matches!(self, Self::Keystile | Self::KeystileOff | Self::KeystileWatched)
    }

    fn guards(self) -> bool {
        !matches!(self, Self::Relay | Self::KeystileOff)
    }
}

/// Where a peer's own count of writes can be asked for.
enum Count {
    Absent,
    HaProxySocket(PathBuf),
    NginxPage(u16),
    Redis(u16),
    Keystile(keystile::Count),
}

/// A running peer.
pub struct Running {
    pub kind: Kind,
    pub port: u16,
    // Before `scratch`: the programs end before their directory goes.
    processes: Vec<Process>,
    count: Count,
    _scratch: Scratch,
}

/// What every peer needs to start.
pub struct Setting<'a> {
    pub keys: &'a Keys,
    pub upstream: u16,
    /// Keystile's binary and a data directory that holds `keys`.
    pub keystile: Option<&'a Template>,
}

impl Running {
    /// Starts a peer and sees that it guards what it should.
    pub async fn start(kind: Kind, setting: &Setting<'_>) -> Outcome<Self> {
        let running = match kind {
            Kind::Relay => relay(setting).await?,
            Kind::HaProxy => haproxy::start(setting).await?,
            Kind::NginxLua | Kind::NginxLuaRedis => nginx::start(kind, setting).await?,
            Kind::Keystile | Kind::KeystileOff | Kind::KeystileWatched => {
                keystile::start(kind, setting).await?
            }
        };
        running.verify(setting.keys).await?;
        Ok(running)
    }

    /// The root of each of its process trees.
    pub fn pids(&self) -> Vec<u32> {
        self.processes.iter().map(Process::pid).collect()
    }

    pub fn memory(&self) -> Outcome<Memory> {
        process::memory(&self.pids())
    }

    /// How many writes the peer has counted, if it counts.
    pub async fn writes_counted(&self) -> Outcome<Option<u64>> {
        Ok(Some(match &self.count {
            Count::Absent => return Ok(None),
            Count::HaProxySocket(path) => haproxy::writes_counted(path).await?,
            Count::NginxPage(port) => nginx::writes_counted(*port).await?,
            Count::Redis(port) => nginx::writes_counted_by_redis(*port).await?,
            Count::Keystile(count) => count.writes().await?,
        }))
    }

    /// A fast answer is worth nothing if the guard behind it does not guard.
    async fn verify(&self, keys: &Keys) -> Outcome<()> {
        let open = keys.open.first().ok_or("no keys")?.as_str();
        let mut expected =
            vec![("GET", "/items/1", Some(open), 200), ("POST", "/items", Some(open), 200)];
        if self.kind.guards() {
            expected.push(("GET", "/items/1", None, 401));
            expected.push(("GET", "/items/1", Some("ks_unknown"), 401));
            expected.push(("GET", "/items/1", Some(&keys.reader), 200));
            expected.push(("POST", "/items", Some(&keys.reader), 403));
            expected.push(("GET", "/elsewhere", Some(open), 403));
        }
        for (method, path, key, status) in expected {
            let body: &[u8] = if method == "POST" { b"{}" } else { b"" };
            let answer = http::ask(self.port, method, path, key, body).await?;
            if answer.status != status {
                let name = self.kind.name();
                return Err(format!(
                    "{name}: {method} {path} gave {} and not {status}: {}",
                    answer.status, answer.body
                )
                .into());
            }
        }
        Ok(())
    }
}

async fn relay(setting: &Setting<'_>) -> Outcome<Running> {
    let scratch = Scratch::new()?;
    let port = free_port()?;
    let program = std::env::current_exe()?.display().to_string();
    let log = scratch.path().join("relay.log");
    let args = ["relay", "--listen", &port.to_string(), "--to", &setting.upstream.to_string()];
    let mut process = Process::start(PROXY_CORE, &program, &args, &log)?;
    process.accepts(port).await?;
    Ok(Running {
        kind: Kind::Relay,
        port,
        processes: vec![process],
        count: Count::Absent,
        _scratch: scratch,
    })
}
