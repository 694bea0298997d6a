//! One measurement: a load against a running peer, and what it cost.

use std::time::{Duration, Instant};

use crate::Outcome;
use crate::load::{self, Load, Mix};
use crate::peer::Running;
use crate::process::{as_f64, cpu_seconds};
use crate::quiet::{FOREIGN_MAX, Patience, Watch};
use crate::table::median;

/// How often a noisy measurement is repeated before its last result is taken.
const TRIES: usize = 3;

/// What a load cost; slices of it can be added up.
#[derive(Clone, Default)]
pub struct Sample {
    /// Processor time of the peer's whole tree.
    cpu_seconds: f64,
    requests: u64,
    micros: u64,
    p50_ms: Vec<f64>,
    p99_ms: Vec<f64>,
    /// Share of the two cores that something else used: noise. Of slices, the worst.
    pub foreign: f64,
}

impl Sample {
    pub fn cpu_us(&self) -> f64 {
        self.cpu_seconds * 1e6 / as_f64(self.requests)
    }

    pub fn requests_per_second(&self) -> f64 {
        as_f64(self.requests) / self.elapsed_seconds()
    }

    /// Share of the proxy's core that the peer used.
    pub fn busy(&self) -> f64 {
        self.cpu_seconds / self.elapsed_seconds()
    }

    pub fn p50_ms(&self) -> f64 {
        median(&self.p50_ms)
    }

    pub fn p99_ms(&self) -> f64 {
        median(&self.p99_ms)
    }

    pub fn add(&mut self, other: Self) {
        self.cpu_seconds += other.cpu_seconds;
        self.requests += other.requests;
        self.micros += other.micros;
        self.p50_ms.extend(other.p50_ms);
        self.p99_ms.extend(other.p99_ms);
        self.foreign = self.foreign.max(other.foreign);
    }

    fn elapsed_seconds(&self) -> f64 {
        as_f64(self.micros) / 1e6
    }
}

/// Sends `load` to `peer`. After a mix, the peer's own count of writes must agree with the load's.
pub async fn measure(peer: &Running, load: Load<'_>) -> Outcome<Sample> {
    let pids = peer.pids();
    let counted_before = peer.writes_counted().await?;
    let others = Watch::start()?;
    let cpu_before = cpu_seconds(&pids)?;
    let report = load::send(load, peer.port).await?;
    // What a peer settles after its last answer is part of the cost.
    tokio::time::sleep(Duration::from_millis(150)).await;
    let cpu = cpu_seconds(&pids)? - cpu_before;
    let foreign = others.share()?;
    if let (Mix::Mixed, Some(before)) = (load.mix, counted_before) {
        let counted = peer.writes_counted().await?.unwrap_or(before) - before;
        agree(peer, counted, report.writes, u64::from(load.connections))?;
    }
    Ok(Sample {
        cpu_seconds: cpu,
        requests: report.requests,
        micros: report.micros,
        p50_ms: vec![as_f64(report.p50) / 1e3],
        p99_ms: vec![as_f64(report.p99) / 1e3],
        foreign,
    })
}

/// Measures while the machine is quiet, and again when it was not, as long as `patience` lasts.
pub async fn undisturbed(peer: &Running, load: Load<'_>, patience: &Patience) -> Outcome<Sample> {
    let mut tries = 0;
    loop {
        patience.wait().await?;
        let started = Instant::now();
        let sample = measure(peer, load).await?;
        tries += 1;
        if sample.foreign <= FOREIGN_MAX || tries == TRIES || patience.is_used_up() {
            return Ok(sample);
        }
        patience.spend(started.elapsed());
    }
}

/// The last request of each connection, and one that wrk makes to test its script, may be missing.
fn agree(peer: &Running, counted: u64, sent: u64, connections: u64) -> Outcome<()> {
    if counted <= sent && counted + connections + 1 >= sent {
        return Ok(());
    }
    Err(format!("{} counted {counted} writes of {sent} sent", peer.kind.name()).into())
}
