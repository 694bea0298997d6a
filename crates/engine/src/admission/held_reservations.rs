//! The reservations that wait to be settled by their ids, in bounded memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};

use keystile_core::reservation::id::ReservationId;
use keystile_core::time::Timestamp;
use keystile_store::reservation::Reserved;

/// So many wait to be settled at a time. Beyond, those that wait for longest are handed over early: a
/// write is never refused because others were not settled.
const HELD_MAX: usize = 50_000;

/// The reservations that wait to be settled by their ids.
#[derive(Debug, Default)]
pub(crate) struct HeldReservations(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    by_id: HashMap<ReservationId, (u64, Box<Reserved>)>,
    /// In the order in which they are handed over.
    in_order: BTreeMap<u64, (Timestamp, ReservationId)>,
    next: u64,
}

impl Held {
    fn remove_first(&mut self) -> Option<Box<Reserved>> {
        let (_, (_, id)) = self.in_order.pop_first()?;
        self.by_id.remove(&id).map(|(_, reserved)| reserved)
    }
}

impl HeldReservations {
    fn with<T>(&self, act: impl FnOnce(&mut Held) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Keeps a reservation; gives one that has to make room for it.
    pub(super) fn keep(
        &self,
        id: ReservationId,
        reserved: Box<Reserved>,
        due: Timestamp,
    ) -> Option<Box<Reserved>> {
        self.with(|held| {
            let number = held.next;
            held.next += 1;
            held.in_order.insert(number, (due, id));
            held.by_id.insert(id, (number, reserved));
            (held.by_id.len() > HELD_MAX).then(|| held.remove_first()).flatten()
        })
    }

    pub(super) fn take(&self, id: ReservationId) -> Option<Box<Reserved>> {
        self.with(|held| {
            let (number, reserved) = held.by_id.remove(&id)?;
            held.in_order.remove(&number);
            Some(reserved)
        })
    }

    /// The first of those that nobody settled in time.
    pub(super) fn next_overdue(&self, now: Timestamp) -> Option<Box<Reserved>> {
        self.with(|held| {
            let (_, (due, _)) = held.in_order.first_key_value()?;
            if *due <= now { held.remove_first() } else { None }
        })
    }
}
