//! HAProxy with a key map, ACLs by plan, method and path, and a stick-table count per key.

use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::{Count, Kind, Running, Setting};
use crate::Outcome;
use crate::process::{PROXY_CORE, Process};
use crate::scratch::{Scratch, free_port};

pub(super) async fn start(setting: &Setting<'_>) -> Outcome<Running> {
    let scratch = Scratch::new()?;
    let port = free_port()?;
    setting.keys.write_maps(&scratch)?;
    let config = scratch.fill(
        "haproxy.cfg",
        include_str!("../../templates/haproxy.cfg"),
        &[("PORT", port.to_string()), ("UPSTREAM", setting.upstream.to_string())],
    )?;
    let config = config.display().to_string();
    let log = scratch.path().join("haproxy.log");
    let mut process = Process::start(PROXY_CORE, "haproxy", &["-db", "-q", "-f", &config], &log)?;
    process.accepts(port).await?;
    Ok(Running {
        kind: Kind::HaProxy,
        port,
        processes: vec![process],
        count: Count::HaProxySocket(scratch.path().join("haproxy.sock")),
        _scratch: scratch,
    })
}

/// Sums the write counters of the stick table.
pub(super) async fn writes_counted(socket: &Path) -> Outcome<u64> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(b"show table gate\n").await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let counters = text.split_whitespace().filter_map(|word| word.strip_prefix("gpc0="));
    Ok(counters.filter_map(|count| count.parse::<u64>().ok()).sum())
}
