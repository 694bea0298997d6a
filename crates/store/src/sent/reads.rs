//! Reads that went out, counted in memory for those who are told of them.
//!
//! A read leaves no record. Its count is one relaxed addition, and whoever keeps the counts takes them every
//! now and then, so a crash loses those that were not taken, and nothing counts twice.

use std::sync::atomic::{AtomicU64, Ordering};

use keystile_core::request::call_method::CallMethod;

/// Counts by method, in the order of [`CallMethod::ALL`].
pub type ReadCounts = [u64; CallMethod::ALL.len()];

/// Reads of one application that went out.
#[derive(Debug, Default)]
pub struct SentReads([AtomicU64; CallMethod::ALL.len()]);

impl SentReads {
    /// Counts one.
    pub(crate) fn note(&self, method: CallMethod) {
        self.0[method.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the counts; nothing where there are none.
    pub(crate) fn take(&self) -> Option<ReadCounts> {
        // Read first: a quiet application costs no write of its cache line.
        if self.0.iter().all(|count| count.load(Ordering::Relaxed) == 0) {
            return None;
        }
        Some(std::array::from_fn(|place| self.0[place].swap(0, Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_read_is_taken_once_while_others_are_counted() {
        let reads = SentReads::default();
        let taken = std::thread::scope(|scope| {
            let counting: Vec<_> = (0..2)
                .map(|_| scope.spawn(|| (0..100_000).for_each(|_| reads.note(CallMethod::Get))))
                .collect();
            let mut taken = 0;
            while counting.iter().any(|thread| !thread.is_finished()) {
                taken += reads.take().map_or(0, |counts| counts[CallMethod::Get.place()]);
            }
            taken
        });
        let rest = reads.take().map_or(0, |counts| counts[CallMethod::Get.place()]);
        assert_eq!(taken + rest, 200_000);
        assert_eq!(reads.take(), None);
    }
}
