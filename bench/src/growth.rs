//! `growth`: how cost and memory of one peer grow with connections, keys and bodies.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::keys::Keys;
use crate::load::{Load, Mix};
use crate::measure::{measure, undisturbed};
use crate::peer::{Kind, Running, Setting, Template};
use crate::process::{LOAD_CORE, as_f64, command, cpu_seconds};
use crate::quiet::{PATIENCE_SECONDS, Patience};
use crate::scratch::Scratch;
use crate::transfer::Transferred;
use crate::upstream::Upstream;
use crate::{Outcome, table};

const CONNECTIONS: [u32; 4] = [1, 8, 64, 512];
const KEYS: [usize; 6] = [10, 100, 1_000, 10_000, 100_000, 1_000_000];
const BODY_BYTES: [u64; 5] = [1 << 10, 64 << 10, 1 << 20, 16 << 20, 100 << 20];
const BODY_CONNECTIONS: u32 = 8;
/// The promise for 100,000 keys.
const MEMORY_AT: (usize, f64) = (100_000, 160.0);

/// What the tables share.
struct Bench<'a> {
    kind: Kind,
    binary: Option<&'a Path>,
    seconds: u64,
    patience: Patience,
    upstream: Upstream,
}

/// A set of keys, and Keystile's data directory with them when Keystile is measured.
struct Stock {
    keys: Keys,
    template: Option<Template>,
}

/// Prints the tables asked for.
pub async fn run(args: &Args) -> Outcome<()> {
    let kind = Kind::named(args.text("--peer").unwrap_or("keystile"))?;
    let binary = args.text("--keystile").map(Path::new);
    if kind.is_keystile() && binary.is_none() {
        return Err("give --keystile PATH, or another --peer".into());
    }
    let bench = Bench {
        kind,
        binary,
        seconds: args.number("--seconds", 4)?,
        patience: Patience::new(args.number("--patience", PATIENCE_SECONDS)?),
        upstream: Upstream::start().await?,
    };
    let only = args.text("--only");
    let wanted = |name| only.is_none_or(|only| only == name);
    if wanted("connections") {
        bench.connections().await?;
    }
    if wanted("keys") {
        bench.keys(args.number("--keys-max", 1_000_000)?).await?;
    }
    if wanted("bodies") {
        bench.bodies().await?;
    }
    Ok(())
}

impl Bench<'_> {
    async fn stock(&self, count: usize) -> Outcome<Stock> {
        Ok(match self.binary {
            Some(binary) if self.kind.is_keystile() => {
                let template = Template::make(binary, count).await?;
                Stock { keys: template.keys.clone(), template: Some(template) }
            }
            _ => Stock { keys: Keys::invent(count), template: None },
        })
    }

    async fn start(&self, stock: &Stock) -> Outcome<Running> {
        let setting = Setting {
            keys: &stock.keys,
            upstream: self.upstream.port,
            keystile: stock.template.as_ref(),
        };
        Running::start(self.kind, &setting).await
    }

    async fn connections(&self) -> Outcome<()> {
        let stock = self.stock(1_000).await?;
        let scratch = Scratch::new()?;
        stock.keys.write_sent(&scratch)?;
        let mut rows = Vec::new();
        for connections in CONNECTIONS {
            eprintln!("{}: {connections} connections", self.kind.name());
            let peer = self.start(&stock).await?;
            let idle = peer.memory()?;
            let load =
                Load { scratch: &scratch, connections, seconds: self.seconds, mix: Mix::Reads };
            measure(&peer, Load { seconds: 1, ..load }).await?;
            let reads = undisturbed(&peer, load, &self.patience).await?;
            let writing = Load { mix: Mix::Mixed, ..load };
            let mixed = undisturbed(&peer, writing, &self.patience).await?;
            let memory = peer.memory()?;
            rows.push(vec![
                connections.to_string(),
                format!("{:.2}", reads.cpu_us()),
                format!("{:.0}", reads.requests_per_second()),
                format!("{:.2}", reads.p99_ms()),
                format!("{:.2}", mixed.cpu_us()),
                format!("{:.0}", mixed.requests_per_second()),
                format!("{:.2}", mixed.p99_ms()),
                format!("{:.1}", idle.resident_mib),
                format!("{:.1}", memory.resident_mib),
                format!("{:.1}", memory.highest_mib),
            ]);
        }
        let head = [
            "connections",
            "read us",
            "reads/s",
            "p99 ms",
            "mixed us",
            "mixed/s",
            "p99 ms",
            "idle MiB",
            "RSS MiB",
            "peak MiB",
        ];
        table::print(&format!("{}, 1,000 keys, by connections", self.kind.name()), &head, &rows);
        Ok(())
    }

    async fn keys(&self, keys_max: usize) -> Outcome<()> {
        let mut rows = Vec::new();
        for count in KEYS.into_iter().filter(|&count| count <= keys_max) {
            eprintln!("{}: {count} keys", self.kind.name());
            let stock = self.stock(count).await?;
            let made = stock.template.as_ref().map_or(Duration::ZERO, |made| made.made_in);
            let scratch = Scratch::new()?;
            stock.keys.write_sent(&scratch)?;
            let started = Instant::now();
            let peer = self.start(&stock).await?;
            let start = started.elapsed();
            let load =
                Load { scratch: &scratch, connections: 64, seconds: self.seconds, mix: Mix::Reads };
            measure(&peer, Load { seconds: 1, ..load }).await?;
            let reads = undisturbed(&peer, load, &self.patience).await?;
            let writing = Load { mix: Mix::Mixed, ..load };
            let mixed = undisturbed(&peer, writing, &self.patience).await?;
            let memory = peer.memory()?;
            let verdict = match memory.highest_mib {
                _ if count != MEMORY_AT.0 || self.kind != Kind::Keystile => String::new(),
                peak if peak <= MEMORY_AT.1 => format!("<= {:.0}: met", MEMORY_AT.1),
                _ => format!("<= {:.0}: MISSED", MEMORY_AT.1),
            };
            rows.push(vec![
                count.to_string(),
                format!("{:.2}", made.as_secs_f64()),
                format!("{:.0}", start.as_secs_f64() * 1e3),
                format!("{:.2}", reads.cpu_us()),
                format!("{:.0}", reads.requests_per_second()),
                format!("{:.2}", mixed.cpu_us()),
                format!("{:.0}", mixed.requests_per_second()),
                format!("{:.1}", memory.resident_mib),
                format!("{:.1}", memory.highest_mib),
                verdict,
            ]);
        }
        let head = [
            "keys",
            "made in s",
            "start ms",
            "read us",
            "reads/s",
            "mixed us",
            "mixed/s",
            "RSS MiB",
            "peak MiB",
            "",
        ];
        table::print(&format!("{}, 64 connections, by keys", self.kind.name()), &head, &rows);
        Ok(())
    }

    async fn bodies(&self) -> Outcome<()> {
        let stock = self.stock(1_000).await?;
        let mut rows = Vec::new();
        for bytes in BODY_BYTES {
            self.upstream.offer_blob(bytes)?;
            for direction in ["upload", "download"] {
                eprintln!("{}: {direction} of {bytes} bytes", self.kind.name());
                let peer = self.start(&stock).await?;
                let idle = peer.memory()?;
                self.patience.wait().await?;
                let before = cpu_seconds(&peer.pids())?;
                let seen = self.transfer(&peer, &stock.keys.open[0], direction, bytes).await?;
                tokio::time::sleep(Duration::from_millis(200)).await;
                let cpu = cpu_seconds(&peer.pids())? - before;
                let memory = peer.memory()?;
                let mib = as_f64(seen.requests * bytes) / f64::from(1 << 20);
                rows.push(vec![
                    format!("{direction} {}", size_name(bytes)),
                    seen.requests.to_string(),
                    format!("{:.1}", cpu * 1e6 / as_f64(seen.requests)),
                    format!("{:.1}", cpu * 1e6 / mib),
                    format!("{:.0}", mib / (as_f64(seen.micros) / 1e6)),
                    format!("{:.1}", idle.resident_mib),
                    format!("{:.1}", memory.highest_mib),
                ]);
            }
        }
        let head =
            ["body", "requests", "CPU us each", "CPU us/MiB", "MiB/s", "idle MiB", "peak MiB"];
        let title = format!("{}, {BODY_CONNECTIONS} connections, by body", self.kind.name());
        table::print(&title, &head, &rows);
        Ok(())
    }

    async fn transfer(
        &self,
        peer: &Running,
        key: &str,
        direction: &str,
        bytes: u64,
    ) -> Outcome<Transferred> {
        let program = std::env::current_exe()?.display().to_string();
        let mut client = command(LOAD_CORE, &program);
        client
            .args(["transfer", "--direction", direction, "--key", key])
            .args(["--port", &peer.port.to_string(), "--bytes", &bytes.to_string()])
            .args(["--seconds", &self.seconds.to_string()])
            .args(["--connections", &BODY_CONNECTIONS.to_string()]);
        let limit = Duration::from_secs(self.seconds + 120);
        let output =
            tokio::time::timeout(limit, client.output()).await.map_err(|_| "transfer hangs")??;
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{direction} of {bytes} bytes: {talk}").into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }
}

fn size_name(bytes: u64) -> String {
    match bytes {
        bytes if bytes >= 1 << 20 => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}
