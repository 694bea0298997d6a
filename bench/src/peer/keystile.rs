//! Keystile itself: guarded, with `mode = "off"` on its API, or with a rule that tells of every write.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Deserialize;

use super::{Kind, Running, Setting};
use crate::keys::Keys;
use crate::process::{LOAD_CORE, PROXY_CORE, Process, command};
use crate::scratch::{Scratch, free_port};
use crate::{Outcome, http};

/// The binary, and a data directory with keys that each start copies, so that all start alike.
pub struct Template {
    binary: String,
    scratch: Scratch,
    pub keys: Keys,
    /// How long it took to make the keys.
    pub made_in: Duration,
}

/// Asks a running Keystile how many writes it has forwarded and journaled.
pub(super) struct Count {
    console: u16,
    binary: String,
    config: PathBuf,
}

#[derive(Deserialize)]
struct Status {
    records: u64,
}

#[derive(Deserialize)]
struct Created {
    key: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum CreatedLine {
    Many(Vec<Created>),
    One(Created),
}

impl Template {
    /// Makes a data directory with `count` keys of the plan `open` and one of the plan `reader`.
    pub async fn make(binary: &Path, count: usize) -> Outcome<Self> {
        let scratch = Scratch::new()?;
        let binary = fs::canonicalize(binary)
            .map_err(|error| format!("{}: {error}", binary.display()))?
            .display()
            .to_string();
        // The ports and the upstream of this file are never used.
        let config = write_config(&scratch, Kind::Keystile, 1, 2, 3)?;
        let reader = create(&binary, &config, "readers", "reader", 1).await?;
        let started = Instant::now();
        let open = create(&binary, &config, "bench", "open", count).await?;
        let made_in = started.elapsed();
        let reader = reader.into_iter().next().ok_or("no key for the reader")?;
        Ok(Self { binary, scratch, keys: Keys { open, reader }, made_in })
    }
}

pub(super) async fn start(kind: Kind, setting: &Setting<'_>) -> Outcome<Running> {
    let template = setting.keystile.ok_or("no keystile binary: give --keystile PATH")?;
    let scratch = Scratch::new()?;
    copy_dir(&data_of(&template.scratch), &data_of(&scratch))?;
    let (port, console) = (free_port()?, free_port()?);
    let config = write_config(&scratch, kind, port, console, setting.upstream)?;
    let config_text = config.display().to_string();
    let log = scratch.path().join("keystile.log");
    let args = ["run", "--config", &config_text];
    let mut process = Process::start(PROXY_CORE, &template.binary, &args, &log)?;
    process.answers(console, "/readyz").await?;
    process.accepts(port).await?;
    let count = match kind {
        Kind::KeystileOff => super::Count::Absent,
        _ => super::Count::Keystile(Count { console, binary: template.binary.clone(), config }),
    };
    Ok(Running { kind, port, processes: vec![process], count, _scratch: scratch })
}

fn data_of(scratch: &Scratch) -> PathBuf {
    scratch.path().join("data")
}

fn write_config(
    scratch: &Scratch,
    kind: Kind,
    gate: u16,
    console: u16,
    upstream: u16,
) -> Outcome<PathBuf> {
    let mode = if kind == Kind::KeystileOff { "mode = \"off\"" } else { "" };
    let watch = match kind {
        Kind::KeystileWatched => include_str!("../../templates/watch.toml"),
        _ => "",
    };
    scratch.write("hook.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")?;
    scratch.fill(
        "keystile.toml",
        include_str!("../../templates/keystile.toml"),
        &[
            // First, because it holds tokens of its own.
            ("WATCH", watch.to_owned()),
            ("GATE", gate.to_string()),
            ("CONSOLE", console.to_string()),
            ("UPSTREAM", upstream.to_string()),
            ("MODE", mode.to_owned()),
        ],
    )
}

async fn create(
    binary: &str,
    config: &Path,
    application: &str,
    plan: &str,
    count: usize,
) -> Outcome<Vec<String>> {
    let mut create = command(LOAD_CORE, binary);
    create
        .args(["key", "create", "--application", application, "--plan", plan, "--create"])
        .args(["--count", &count.to_string(), "--json", "--config"])
        .arg(config);
    let output = create.output().await?;
    if !output.status.success() {
        let talk = String::from_utf8_lossy(&output.stderr);
        return Err(format!("keystile key create: {talk}").into());
    }
    let mut keys = Vec::with_capacity(count);
    for line in serde_json::Deserializer::from_slice(&output.stdout).into_iter::<CreatedLine>() {
        match line? {
            CreatedLine::Many(many) => keys.extend(many.into_iter().map(|created| created.key)),
            CreatedLine::One(one) => keys.push(one.key),
        }
    }
    if keys.len() != count {
        return Err(format!("asked for {count} keys, got {}", keys.len()).into());
    }
    Ok(keys)
}

fn copy_dir(from: &Path, to: &Path) -> Outcome<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

impl Count {
    /// Gives the writes that were forwarded, after a look that the journal holds all of them.
    pub(super) async fn writes(&self) -> Outcome<u64> {
        let forwarded = self.forwarded().await?;
        let journaled = self.journaled().await?;
        if journaled < forwarded {
            return Err(format!("{forwarded} writes forwarded, only {journaled} journaled").into());
        }
        Ok(forwarded)
    }

    async fn forwarded(&self) -> Outcome<u64> {
        const NAME: &str = "keystile_requests_total{api=\"bench\",kind=\"write\"} ";
        let page = http::ask(self.console, "GET", "/metrics", None, b"").await?;
        let count = page.body.lines().find_map(|line| line.strip_prefix(NAME));
        Ok(count.ok_or("the metrics page has no count of writes")?.trim().parse()?)
    }

    /// Records of the journal; those of refusals are among them.
    async fn journaled(&self) -> Outcome<u64> {
        let mut status = command(LOAD_CORE, &self.binary);
        let output =
            status.args(["status", "--json", "--config"]).arg(&self.config).output().await?;
        if !output.status.success() {
            let talk = String::from_utf8_lossy(&output.stderr);
            return Err(format!("keystile status: {talk}").into());
        }
        let status: Status = serde_json::from_slice(&output.stdout)?;
        Ok(status.records)
    }
}
