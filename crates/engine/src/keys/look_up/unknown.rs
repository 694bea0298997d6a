//! Keys that a source does not know, for as long as that is believed.

use std::collections::{HashSet, VecDeque};

use keystile_core::keys::hash::KeyHash;
use keystile_core::time::{Span, Timestamp};

/// So many are remembered; the oldest goes for another one.
pub(super) const REMEMBERED_MAX: usize = 50_000;

/// Hashes of keys that a source does not know.
#[derive(Debug)]
pub(super) struct UnknownKeys {
    believed: Span,
    hashes: HashSet<KeyHash>,
    /// In the order in which they are forgotten.
    ends: VecDeque<(Timestamp, KeyHash)>,
}

impl UnknownKeys {
    pub(super) fn new(believed: Span) -> Self {
        Self { believed, hashes: HashSet::new(), ends: VecDeque::new() }
    }

    pub(super) fn contains(&mut self, hash: &KeyHash, now: Timestamp) -> bool {
        while let Some((end, _)) = self.ends.front()
            && *end <= now
        {
            self.forget_oldest();
        }
        self.hashes.contains(hash)
    }

    pub(super) fn insert(&mut self, hash: KeyHash, now: Timestamp) {
        if !self.hashes.insert(hash) {
            return;
        }
        self.ends.push_back((now.plus(self.believed), hash));
        if self.ends.len() > REMEMBERED_MAX {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, hash)) = self.ends.pop_front() {
            self.hashes.remove(&hash);
        }
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::keys::hash::Pepper;

    use super::*;

    fn hash(number: usize) -> KeyHash {
        Pepper::new([7; 32]).hash(&number.to_be_bytes())
    }

    #[test]
    fn an_unknown_key_is_remembered_for_its_time_and_no_flood_makes_the_memory_grow() {
        let mut unknown = UnknownKeys::new(Span::from_secs(60));
        unknown.insert(hash(0), Timestamp(0));
        assert!(unknown.contains(&hash(0), Timestamp(59_999)));
        // Once more changes nothing: it is forgotten, and asked about, no later.
        unknown.insert(hash(0), Timestamp(30_000));
        assert!(!unknown.contains(&hash(0), Timestamp(60_000)));
        for number in 0..REMEMBERED_MAX + 100 {
            unknown.insert(hash(number), Timestamp(60_000));
        }
        assert_eq!((unknown.ends.len(), unknown.hashes.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(!unknown.contains(&hash(99), Timestamp(60_000)));
        assert!(unknown.contains(&hash(100), Timestamp(60_000)));
        assert!(!unknown.contains(&hash(100), Timestamp(120_000)));
        assert!(unknown.ends.is_empty() && unknown.hashes.is_empty());
    }
}
