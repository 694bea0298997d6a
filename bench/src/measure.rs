//! One measurement: a load against a running peer, and what it cost.

use std::time::Duration;

use crate::Outcome;
use crate::load::{self, Load, Mix};
use crate::peer::Running;
use crate::process::{PROXY_CORE, as_f64, core_busy_seconds, cpu_seconds};

/// What one load cost.
#[derive(Clone, Copy)]
pub struct Sample {
    /// Processor time of the peer's whole tree, divided by the requests answered.
    pub cpu_us: f64,
    pub requests_per_second: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Share of the proxy's core that the peer used.
    pub busy: f64,
    /// Share of the proxy's core that something else used: noise.
    pub foreign: f64,
}

/// Sends `load` to `peer`. After a mix, the peer's own count of writes must agree with the load's.
pub async fn measure(peer: &Running, load: Load<'_>) -> Outcome<Sample> {
    let pids = peer.pids();
    let counted_before = peer.writes_counted().await?;
    let busy_before = core_busy_seconds(PROXY_CORE)?;
    let cpu_before = cpu_seconds(&pids)?;
    let report = load::send(load, peer.port).await?;
    // What a peer settles after its last answer is part of the cost.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let cpu = cpu_seconds(&pids)? - cpu_before;
    let busy = core_busy_seconds(PROXY_CORE)? - busy_before;
    if let (Mix::Mixed, Some(before)) = (load.mix, counted_before) {
        let counted = peer.writes_counted().await?.unwrap_or(before) - before;
        agree(peer, counted, report.writes, u64::from(load.connections))?;
    }
    let elapsed = as_f64(report.micros) / 1e6;
    Ok(Sample {
        cpu_us: cpu * 1e6 / as_f64(report.requests),
        requests_per_second: as_f64(report.requests) / elapsed,
        p50_ms: as_f64(report.p50) / 1e3,
        p99_ms: as_f64(report.p99) / 1e3,
        busy: cpu / elapsed,
        foreign: ((busy - cpu) / elapsed).max(0.0),
    })
}

/// The last request of each connection, and one that wrk makes to test its script, may be missing.
fn agree(peer: &Running, counted: u64, sent: u64, connections: u64) -> Outcome<()> {
    if counted <= sent && counted + connections + 1 >= sent {
        return Ok(());
    }
    Err(format!("{} counted {counted} writes of {sent} sent", peer.kind.name()).into())
}
