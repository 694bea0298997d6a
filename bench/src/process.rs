//! Started programs: pinned to a core, stopped on drop, measured from `/proc`.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::{Outcome, http};

/// The core of everything that is measured.
pub const PROXY_CORE: u32 = 0;
/// The core of the load generator and the upstream.
pub const LOAD_CORE: u32 = 1;

/// Clock ticks per second in `/proc`; Linux fixes it at 100 on every architecture it still runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running program.
pub struct Process {
    child: Child,
    pid: u32,
    label: String,
    log: PathBuf,
}

/// Resident memory now and at its highest, summed over a tree of processes.
#[derive(Clone, Copy, Default)]
pub struct Memory {
    pub resident_mib: f64,
    pub highest_mib: f64,
}

/// A command that will run on `core` and be killed when this program dies, however it dies.
pub fn command(core: u32, program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "taskset", "-c", &core.to_string(), program]);
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

impl Process {
    /// Starts `program` on `core`; what it says goes to `log`.
    pub fn start(core: u32, program: &str, args: &[&str], log: &Path) -> Outcome<Self> {
        let out = File::create(log)?;
        let mut command = command(core, program);
        command.args(args).stdout(out.try_clone()?).stderr(out);
        let child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let pid = child.id().ok_or("the program ended at once")?;
        Ok(Self { child, pid, label: program.to_owned(), log: log.to_owned() })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Waits until `port` accepts a connection.
    pub async fn accepts(&mut self, port: u16) -> Outcome<()> {
        self.until(port, |port| async move {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok()
        })
        .await
    }

    /// Waits until `GET path` on `port` answers 200.
    pub async fn answers(&mut self, port: u16, path: &'static str) -> Outcome<()> {
        self.until(port, |port| async move {
            let answer = http::ask(port, "GET", path, None, b"").await;
            answer.is_ok_and(|answer| answer.status == 200)
        })
        .await
    }

    async fn until<F: Future<Output = bool>>(
        &mut self,
        port: u16,
        ready: impl Fn(u16) -> F,
    ) -> Outcome<()> {
        let started = Instant::now();
        while started.elapsed() < Duration::from_mins(2) {
            if ready(port).await {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                let log = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(format!("{} ended ({status}):\n{log}", self.label).into());
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        Err(format!("{} is not ready after two minutes", self.label).into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Every program here is one process, so its own end is the end of its tree.
        if self.child.start_kill().is_err() {
            return;
        }
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(2) {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        eprintln!("keystile-bench: {} (pid {}) does not end", self.label, self.pid);
    }
}

/// Seconds of processor time that the trees of `roots` have used.
pub fn cpu_seconds(roots: &[u32]) -> Outcome<f64> {
    let table = stat_table()?;
    let ticks: u64 =
        trees(roots, &table).iter().filter_map(|pid| table.get(pid)).map(|stat| stat.ticks).sum();
    Ok(as_f64(ticks) / TICKS_PER_SECOND)
}

/// Memory of the trees of `roots`.
pub fn memory(roots: &[u32]) -> Outcome<Memory> {
    let table = stat_table()?;
    let mut memory = Memory::default();
    for pid in trees(roots, &table) {
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        memory.resident_mib += status_mib(&status, "VmRSS:");
        memory.highest_mib += status_mib(&status, "VmHWM:");
    }
    Ok(memory)
}

/// Seconds that `core` has been busy since the machine started, whoever kept it busy.
pub fn core_busy_seconds(core: u32) -> Outcome<f64> {
    let text = fs::read_to_string("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name)).ok_or("no such core")?;
    let ticks: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal: all but idle and iowait.
    let busy: u64 = ticks
        .iter()
        .take(8)
        .enumerate()
        .filter(|(at, _)| !(3..=4).contains(at))
        .map(|(_, t)| t)
        .sum();
    Ok(as_f64(busy) / TICKS_PER_SECOND)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat_table() -> Outcome<HashMap<u32, Stat>> {
    let mut table = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the listing and the reading.
        if let Some(stat) =
            fs::read_to_string(format!("/proc/{pid}/stat")).ok().as_deref().and_then(parse_stat)
        {
            table.insert(pid, stat);
        }
    }
    Ok(table)
}

/// Reads one `/proc/PID/stat`: the name stands in parentheses and may itself contain any byte.
fn parse_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.get(text.rfind(')')? + 2..)?.split_whitespace().collect();
    let field = |at: usize| fields.get(at).and_then(|word| word.parse::<u64>().ok());
    // After the name: state ppid ..., utime is the 12th, then stime, and those of ended children.
    let ticks = field(11)? + field(12)? + field(13)? + field(14)?;
    Some(Stat { parent: u32::try_from(field(1)?).ok()?, ticks })
}

fn trees(roots: &[u32], table: &HashMap<u32, Stat>) -> Vec<u32> {
    let mut found = roots.to_vec();
    let mut at = 0;
    while let Some(&parent) = found.get(at) {
        let children = table.iter().filter(|(_, stat)| stat.parent == parent).map(|(&pid, _)| pid);
        let fresh: Vec<u32> = children.filter(|pid| !found.contains(pid)).collect();
        found.extend(fresh);
        at += 1;
    }
    found
}

fn status_mib(status: &str, name: &str) -> f64 {
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|word| word.parse::<u64>().ok())
        .unwrap_or(0);
    as_f64(kib) / 1024.0
}

/// Counts here stay far below 2^53, where a float still holds every whole number.
#[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::parse_stat;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let text = "7 (a (b) c) S 3 7 7 0 -1 0 0 0 0 0 10 20 30 40 20 0 1 0 5";
        let stat = parse_stat(text).expect("a well-formed line");
        assert_eq!((stat.parent, stat.ticks), (3, 100));
    }
}
