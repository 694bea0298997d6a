//! Which calls a report holds.
//!
//! Every call that was kept is in the report, is missing, or still waits: never two of these.

use super::kept::{Draft, Kept};
use super::record::{Batch, Hour, Lost, Slot, Transaction};
use crate::portal::records::ApplicationId;
use crate::reports;

/// What becomes of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Reported,
    Waits,
    Lost,
}

/// Takes calls into a report, those of the earliest hours first.
pub(super) fn gather(
    draft: &mut Draft,
    kept: &Kept,
    fate: impl Fn(ApplicationId, &Slot) -> Fate,
) -> Vec<Transaction> {
    let (mut transactions, mut metrics) = (Vec::new(), 0_usize);
    for (place, slot) in &kept.slots {
        let more = metrics.saturating_add(slot.calls.len());
        if draft.is_full() || !reports::fits(transactions.len().saturating_add(1), more) {
            break;
        }
        match fate(place.1, slot) {
            Fate::Waits => continue,
            Fate::Lost => draft.state.miss_slot(slot, Lost::Unreported),
            Fate::Reported => {
                let application = place.1.get();
                transactions.push(Transaction { application, slot: slot.clone() });
                metrics = more;
            }
        }
        draft.slots.insert(*place, None);
    }
    transactions
}

/// Leaves out of a report that did not count what cannot be reported any more, or not now.
pub(super) fn sort_out(
    draft: &mut Draft,
    kept: &Kept,
    batch: &Batch,
    fate: impl Fn(ApplicationId, &Slot) -> Fate,
) -> Vec<Transaction> {
    let mut transactions = Vec::new();
    for transaction in &batch.transactions {
        let (id, slot) = (ApplicationId::new(transaction.application), &transaction.slot);
        match fate(id, slot) {
            Fate::Reported => transactions.push(transaction.clone()),
            Fate::Lost => draft.state.miss_slot(slot, Lost::Unreported),
            Fate::Waits => {
                let times = (slot.first, slot.last);
                let waiting = draft.slot(kept, (Hour::of(slot.last), id), Slot::at(slot.last));
                for (metric, calls) in &slot.calls {
                    waiting.add(metric, *calls, times);
                }
            }
        }
    }
    transactions
}

#[cfg(test)]
mod tests {
    use keystile_core::time::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::drive::usage::kept::BatchChange;
    use crate::drive::usage::record::{Progress, State, sum};

    const HOUR: i64 = 3_600_000;

    /// Which fate the calls of an application have.
    fn fate(id: ApplicationId) -> Fate {
        [Fate::Reported, Fate::Reported, Fate::Waits, Fate::Lost][(id.get() % 4) as usize]
    }

    fn slot(hour: i64, calls: u64, metrics: usize) -> Slot {
        let mut slot = Slot::at(Timestamp(hour * HOUR));
        for metric in 0..metrics {
            slot.add(&format!("metric {metric}"), calls, (slot.first, slot.last));
        }
        slot
    }

    fn kept(slots: &[(i64, u64, u64, usize)]) -> Kept {
        let slots = slots.iter().map(|(hour, id, calls, metrics)| {
            let slot = slot(*hour, *calls, *metrics);
            ((Hour::of(slot.last), ApplicationId::new(*id)), slot)
        });
        Kept::of(State::default(), slots.collect())
    }

    fn calls<'s>(slots: impl Iterator<Item = &'s Slot>) -> u64 {
        slots.map(|slot| sum(&slot.calls)).sum()
    }

    fn missing(draft: &Draft) -> u64 {
        draft.state.missing.values().map(|missing| missing.unreported + missing.uncertain).sum()
    }

    proptest! {
        #[test]
        fn no_call_is_lost_or_held_twice_by_a_report_and_what_waits(
            slots in prop::collection::btree_map((0_i64..3, 0_u64..2_000), (1_u64..5, 1_usize..4), 0..1_500)
        ) {
            let slots: Vec<_> =
                slots.into_iter().map(|((hour, id), (calls, metrics))| (hour, id, calls, metrics)).collect();
            let mut kept = kept(&slots);
            let before = calls(kept.slots.values());
            let mut draft = kept.draft();
            let transactions = gather(&mut draft, &kept, |id, _| fate(id));
            prop_assert!(reports::fits(
                transactions.len(),
                transactions.iter().map(|transaction| transaction.slot.calls.len()).sum()
            ));
            prop_assert!(draft.slots.len() <= 900);
            let lost = missing(&draft);
            kept.make(draft);
            let waiting = calls(kept.slots.values());
            let reported = calls(transactions.iter().map(|transaction| &transaction.slot));
            prop_assert_eq!(before, waiting + reported + lost);
            // It did not count, and applications went or came over newly since.
            let batch = Batch { id: 1, progress: Progress::ToSend, transactions };
            let mut draft = kept.draft();
            let later = |id: ApplicationId, _: &Slot| fate(ApplicationId::new(id.get() / 4));
            let again = sort_out(&mut draft, &kept, &batch, later);
            let again = calls(again.iter().map(|transaction| &transaction.slot));
            let lost_again = missing(&draft) - lost;
            kept.make(draft);
            prop_assert_eq!(reported, again + lost_again + calls(kept.slots.values()) - waiting);
        }
    }

    #[test]
    fn the_earliest_hours_are_reported_first() {
        let kept = kept(&[(2, 4, 1, 1), (1, 5, 1, 1), (1, 4, 1, 1)]);
        let mut draft = kept.draft();
        let transactions = gather(&mut draft, &kept, |_, _| Fate::Reported);
        let order: Vec<_> = transactions
            .iter()
            .map(|transaction| (transaction.slot.last.0 / HOUR, transaction.application))
            .collect();
        assert_eq!(order, [(1, 4), (1, 5), (2, 4)]);
        assert!(matches!(draft.batch, BatchChange::Stays), "who keeps it says what becomes of it");
        let taken: Vec<_> = kept.slots.keys().map(|place| (place, &None)).collect();
        assert_eq!(draft.slots.iter().collect::<Vec<_>>(), taken);
    }
}
