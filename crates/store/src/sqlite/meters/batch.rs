//! Values of meters that belong together: of one transaction, or of a stretch of the log.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use keystile_core::time::Timestamp;

use crate::doors::meters::MeterValue;
use crate::sqlite::meters::PutRule;

/// What a meter is known by: owner, name, and the start of its window.
pub(crate) type MeterKey = (Arc<str>, Arc<str>, i64);

/// A value that will be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) ends: Option<i64>,
    pub(crate) value: i64,
    pub(crate) rule: PutRule,
}

impl Pending {
    /// What both are together, of which the other came later.
    fn followed_by(self, later: Self) -> Self {
        match later.rule {
            // What replaces the kept value goes on to do so.
            PutRule::KeepLarger => Self { value: self.value.max(later.value), ..self },
            PutRule::Replace => Self { ends: self.ends, ..later },
        }
    }
}

/// Values, one for each meter, in the order of the table.
#[derive(Debug, Default)]
pub(crate) struct MeterBatch(BTreeMap<MeterKey, Pending>);

impl MeterBatch {
    /// Adds values that come after those which are in it.
    pub(crate) fn add(&mut self, values: impl IntoIterator<Item = MeterValue>, rule: PutRule) {
        for MeterValue { owner, name, starts, ends, value } in values {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            let pending = Pending { ends: ends.map(|ends| ends.0), value, rule };
            self.put((owner, name, starts.0), pending);
        }
    }

    /// Adds one that comes after those which are in it.
    pub(crate) fn put(&mut self, key: MeterKey, pending: Pending) {
        match self.0.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(pending);
            }
            Entry::Occupied(mut occupied) => {
                let known = occupied.get_mut();
                *known = known.followed_by(pending);
            }
        }
    }

    /// Adds all of another, which came later.
    pub(crate) fn absorb(&mut self, later: Self) {
        if self.0.is_empty() {
            *self = later;
            return;
        }
        for (key, pending) in later.0 {
            self.put(key, pending);
        }
    }

    /// Takes out the first so many.
    pub(crate) fn remove_first(&mut self, many: usize) {
        for _ in 0..many {
            self.0.pop_first();
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&MeterKey, &Pending)> {
        self.0.iter()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is kept where there was nothing before.
    pub(crate) fn into_values(self) -> impl Iterator<Item = MeterValue> {
        self.0.into_iter().map(|((owner, name, starts), pending)| MeterValue {
            owner,
            name,
            starts: Timestamp(starts),
            ends: pending.ends.map(Timestamp),
            value: pending.value.unsigned_abs(),
        })
    }
}

/// Values that nobody waits for, from each meter the largest; at most so many meters.
pub(crate) fn condensed(values: Vec<MeterValue>, meters_max: usize) -> Vec<MeterValue> {
    let mut batch = MeterBatch::default();
    batch.add(values, PutRule::KeepLarger);
    batch.into_values().take(meters_max).collect()
}
