//! Whether traffic flows: the process's own counters, looked at every few seconds.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often the counters are looked at.
pub(crate) const SAMPLE_EVERY: Duration = Duration::from_secs(5);
/// Five minutes of samples.
const SAMPLES_MAX: usize = 61;

/// Totals since the process started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Totals {
    reads: u64,
    writes: u64,
    refused: u64,
}

/// The counters over the last minutes.
#[derive(Debug, Default)]
pub(crate) struct Traffic(Mutex<VecDeque<Totals>>);

/// What went through the gate lately.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// In the last minute.
    pub(crate) reads: u64,
    pub(crate) writes: u64,
    pub(crate) refused: u64,
    /// Forwarded calls, a number for each sample, oldest first.
    pub(crate) calls: Vec<u64>,
}

impl Traffic {
    pub(crate) fn sample(&self, metrics: &str) {
        let mut samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() >= SAMPLES_MAX {
            samples.pop_front();
        }
        samples.push_back(totals(metrics));
    }

    pub(crate) fn flow(&self) -> Flow {
        let samples = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = samples
            .iter()
            .zip(samples.iter().skip(1))
            .map(|(before, after)| {
                (after.reads + after.writes).saturating_sub(before.reads + before.writes)
            })
            .collect();
        let minute = 60 / usize::try_from(SAMPLE_EVERY.as_secs()).unwrap_or(1);
        let last = samples.back().copied().unwrap_or_default();
        let before = samples.iter().rev().nth(minute).or(samples.front()).copied();
        let before = before.unwrap_or_default();
        Flow {
            reads: last.reads.saturating_sub(before.reads),
            writes: last.writes.saturating_sub(before.writes),
            refused: last.refused.saturating_sub(before.refused),
            calls,
        }
    }
}

/// Adds up the counters of the gate in a Prometheus text.
fn totals(metrics: &str) -> Totals {
    let mut totals = Totals::default();
    for line in metrics.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let Ok(value) = value.parse::<u64>() else { continue };
        if series.starts_with("keystile_refusals_total") {
            totals.refused += value;
        } else if series.starts_with("keystile_requests_total") {
            if series.contains("kind=\"write\"") {
                totals.writes += value;
            } else {
                totals.reads += value;
            }
        }
    }
    totals
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_minute_is_what_was_counted_since_a_minute_ago() {
        let traffic = Traffic::default();
        for sample in 0..20_u64 {
            traffic.sample(&format!(
                "# TYPE keystile_requests_total counter\n\
                 keystile_requests_total{{api=\"a\",kind=\"read\"}} {}\n\
                 keystile_requests_total{{api=\"b\",kind=\"read\"}} 7\n\
                 keystile_requests_total{{api=\"a\",kind=\"write\"}} {sample}\n\
                 keystile_refusals_total{{api=\"\",reason=\"key_missing\"}} 3\n\
                 keystile_keys 5\n",
                sample * 10
            ));
        }
        let flow = traffic.flow();
        assert_eq!((flow.reads, flow.writes, flow.refused), (120, 12, 0));
        assert_eq!(flow.calls, vec![11; 19]);
    }
}
