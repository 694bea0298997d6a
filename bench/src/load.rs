//! The load generator: wrk with a generated script, on its own core.

use std::time::Duration;

use serde::Deserialize;

use crate::Outcome;
use crate::process::{LOAD_CORE, command};
use crate::scratch::Scratch;

/// What the callers do.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Only GET.
    Reads,
    /// 80 % GET, 20 % POST of 1 KiB.
    Mixed,
}

/// One load: `scratch` holds the file `keys`.
#[derive(Clone, Copy)]
pub struct Load<'a> {
    pub scratch: &'a Scratch,
    pub connections: u32,
    pub seconds: u64,
    pub mix: Mix,
}

/// What wrk saw.
#[derive(Deserialize)]
pub struct Report {
    pub requests: u64,
    pub micros: u64,
    /// Answers with a status of 400 or more.
    pub refused: u64,
    /// Errors of connect, read and write, and timeouts.
    pub broken: u64,
    /// POSTs given to a connection; the last ones may never have left.
    pub writes: u64,
    pub p50: u64,
    pub p99: u64,
}

/// Sends the load to `port` and fails if a single answer was refused or broken.
pub async fn send(load: Load<'_>, port: u16) -> Outcome<Report> {
    let keys = load.scratch.path().join("keys").display().to_string();
    let script = load.scratch.fill(
        "load.lua",
        include_str!("../templates/load.lua"),
        &[
            ("KEYS", keys),
            ("PORT", port.to_string()),
            ("MIXED", (load.mix == Mix::Mixed).to_string()),
        ],
    )?;
    let mut wrk = command(LOAD_CORE, "wrk");
    wrk.args(["-t1", "--timeout", "10s", "--latency"])
        .arg(format!("-c{}", load.connections))
        .arg(format!("-d{}s", load.seconds))
        .arg("-s")
        .arg(script)
        .arg(format!("http://127.0.0.1:{port}/"));
    let limit = Duration::from_secs(load.seconds + 60);
    let output = tokio::time::timeout(limit, wrk.output()).await.map_err(|_| "wrk hangs")??;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("REPORT "))
        .ok_or_else(|| format!("wrk says:\n{text}{}", String::from_utf8_lossy(&output.stderr)))?;
    let report: Report = serde_json::from_str(line)?;
    if report.refused + report.broken > 0 || report.requests == 0 {
        return Err(format!("answers are missing or not 2xx:\n{text}").into());
    }
    Ok(report)
}
