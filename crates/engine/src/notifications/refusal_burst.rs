//! Refusal bursts: a key or an address that is refused over and over, as an owner wants to know.
//!
//! Counted from the refusals that go on record each second. A burst is recorded once when it begins, and
//! again only after a minute in which there was none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::journal::Outcome;
use keystile_core::keys::key::KeyId;
use keystile_core::request::address::counted_address;
use keystile_core::time::{Span, Timestamp};
use keystile_store::key_cache::KeyEntry;
use keystile_store::reservation::RefusedRecord;

/// So many refusals in a minute are a burst: twice a second is more than a person who tries again.
const REFUSALS_MIN: u64 = 120;
const MINUTE: Span = Span::from_secs(60);
/// So many keys and addresses are counted at a time. Refusals from more addresses than that are no single
/// one's burst.
const SUBJECTS_MAX: usize = 10_000;
/// So many bursts are recorded in one go; the first of them say enough.
const RECORDED_AT_ONCE: usize = 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Refused {
    Key(KeyId),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug)]
struct Minute {
    began: Timestamp,
    count: u64,
    is_recorded: bool,
}

/// A burst that has just begun.
#[derive(Clone, Debug)]
pub(super) struct Burst {
    /// The key that is refused, where it is one.
    pub(super) key: Option<Arc<KeyEntry>>,
    /// What happened, in a sentence.
    pub(super) detail: String,
}

/// Refusals of the present minute by who was refused.
#[derive(Debug, Default)]
pub(crate) struct RefusalBursts {
    counted: Mutex<HashMap<Refused, Minute>>,
    begun: Mutex<Vec<Burst>>,
}

impl RefusalBursts {
    /// Counts refusals that were just written down.
    pub(crate) fn note(&self, records: &[RefusedRecord], now: Timestamp) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if counted.len() >= SUBJECTS_MAX {
            counted.retain(|_, minute| now < minute.began.plus(MINUTE));
        }
        for record in records.iter().filter(|record| record.outcome == Outcome::Refused) {
            let address = counted_address(record.facts.address);
            let subject = match &record.key {
                Some(key) => Refused::Key(key.id),
                None => Refused::Address(address),
            };
            if counted.len() >= SUBJECTS_MAX && !counted.contains_key(&subject) {
                continue;
            }
            let new = Minute { began: now, count: 0, is_recorded: false };
            let minute = counted.entry(subject).or_insert(new);
            if now >= minute.began.plus(MINUTE) {
                *minute = Minute {
                    is_recorded: minute.count >= REFUSALS_MIN && minute.is_recorded,
                    ..new
                };
            }
            minute.count += u64::from(record.count);
            if minute.count >= REFUSALS_MIN && !minute.is_recorded {
                minute.is_recorded = true;
                self.begin(record, address, minute.count);
            }
        }
    }

    fn begin(&self, record: &RefusedRecord, address: IpAddr, count: u64) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() < RECORDED_AT_ONCE {
            let from = if record.key.is_some() { "last from" } else { "from" };
            let detail = format!(
                "{count} refusals within a minute, {from} {address}: {}",
                record.reason.name()
            );
            begun.push(Burst { key: record.key.clone(), detail });
        }
    }

    /// Those that have begun since the last time.
    pub(super) fn take(&self) -> Vec<Burst> {
        std::mem::take(&mut *self.begun.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use keystile_core::journal::RequestFacts;
    use keystile_core::refusal::Reason;

    use super::*;

    fn refused(address: [u8; 4], count: u32) -> RefusedRecord {
        let facts = RequestFacts {
            api: "b".to_owned(),
            operation: String::new(),
            method: "PUT".to_owned(),
            path: "/".to_owned(),
            address: IpAddr::from(address),
            user_agent: None,
            request_bytes: None,
        };
        let (reason, outcome) = (Reason::KeyUnknown, Outcome::Refused);
        RefusedRecord { key: None, facts, reason, outcome, count }
    }

    #[test]
    fn a_storm_is_recorded_when_it_begins_and_again_after_it_has_ended() {
        let bursts = RefusalBursts::default();
        let at = |second: i64, count| {
            bursts.note(&[refused([192, 0, 2, 1], count)], Timestamp(second * 1_000));
            bursts.take().len()
        };
        assert_eq!(at(0, 119), 0);
        assert_eq!(at(1, 1), 1);
        assert_eq!(at(2, 5_000), 0);
        assert_eq!(at(61, 5_000), 0, "it goes on");
        assert_eq!(at(125, 3), 0, "it ends");
        assert_eq!(at(190, 200), 1);
    }

    #[test]
    fn a_hundred_thousand_addresses_take_bounded_memory_and_are_no_ones_burst() {
        let bursts = RefusalBursts::default();
        for second in 0..100_u32 {
            let from = second * 1_000;
            let records: Vec<_> =
                (from..from + 1_000).map(|number| refused(number.to_be_bytes(), 1)).collect();
            bursts.note(&records, Timestamp(0));
        }
        assert!(bursts.counted.lock().unwrap().len() <= SUBJECTS_MAX);
        assert!(bursts.take().is_empty());
    }
}
