//! Other work on the machine: waited for before a measurement, and seen after it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::Outcome;
use crate::process::{LOAD_CORE, PROXY_CORE, core_busy_seconds, cpu_seconds};

/// Above this share of the two cores used by others, a measurement is called noisy.
pub const FOREIGN_MAX: f64 = 0.04;

/// What `--patience` is when it is not given.
pub const PATIENCE_SECONDS: u64 = 300;

/// A point in time from which the use of the two cores by others is counted.
pub struct Watch {
    started: Instant,
    others: f64,
}

impl Watch {
    pub fn start() -> Outcome<Self> {
        Ok(Self { started: Instant::now(), others: others_seconds()? })
    }

    /// The share of one core that others have used since the start; 2 is all of both.
    ///
    /// It contains the kernel's own threads, so a peer that writes to disk adds a little to it.
    pub fn share(&self) -> Outcome<f64> {
        let elapsed = self.started.elapsed().as_secs_f64();
        Ok(((others_seconds()? - self.others) / elapsed).max(0.0))
    }
}

/// How long a run may still wait for other work to end; once it is used up, what comes is taken.
pub struct Patience {
    left: Cell<Duration>,
}

impl Patience {
    pub fn new(seconds: u64) -> Self {
        Self { left: Cell::new(Duration::from_secs(seconds)) }
    }

    pub fn is_used_up(&self) -> bool {
        self.left.get().is_zero()
    }

    /// Takes off the time that a repeated measurement took.
    pub fn spend(&self, time: Duration) {
        self.left.set(self.left.get().saturating_sub(time));
    }

    /// Waits until others leave both cores alone.
    pub async fn wait(&self) -> Outcome<()> {
        while !self.is_used_up() {
            let watch = Watch::start()?;
            tokio::time::sleep(Duration::from_millis(300)).await;
            if watch.share()? <= FOREIGN_MAX {
                break;
            }
            self.spend(watch.started.elapsed());
        }
        Ok(())
    }
}

/// Busy seconds of both cores that do not belong to this program's tree. Load generators that have
/// ended are still in it: the kernel adds the time of a child that was waited for to its parent.
fn others_seconds() -> Outcome<f64> {
    let busy = core_busy_seconds(PROXY_CORE)? + core_busy_seconds(LOAD_CORE)?;
    Ok(busy - cpu_seconds(&[std::process::id()])?)
}
