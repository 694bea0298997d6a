//! Counters by address, for callers without a key and for those who guess keys.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use keystile_core::rate::RateState;
use keystile_core::request::address::counted_address;

/// So many addresses are remembered in one generation; two generations are kept, about 16 MiB at most.
const GENERATION_MAX: usize = 50_000;

type Map = papaya::HashMap<IpAddr, Arc<RateState>>;

/// The rate state of every address that was seen lately, in bounded memory.
///
/// When a generation is full it becomes the previous one, and the one before that is forgotten. Whoever
/// fills two generations with addresses of their own can make their oldest ones be forgotten, which
/// only gives those a full rate limit again.
#[derive(Debug, Default)]
pub(crate) struct AddressTable {
    present: ArcSwap<Map>,
    previous: ArcSwap<Map>,
    len: AtomicUsize,
}

impl AddressTable {
    /// The state of an address; all of an IPv6 /64 share one.
    pub(crate) fn state(&self, address: IpAddr) -> Arc<RateState> {
        let address = counted_address(address);
        let present = self.present.load();
        if let Some(state) = present.pin().get(&address) {
            return state.clone();
        }
        let known = self.previous.load().pin().get(&address).cloned();
        let state = present.pin().get_or_insert_with(address, || known.unwrap_or_default()).clone();
        if self.len.fetch_add(1, Ordering::Relaxed) >= GENERATION_MAX {
            self.len.store(0, Ordering::Relaxed);
            self.previous.store(self.present.swap(Arc::default()));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_its_state_until_two_generations_have_passed() {
        let table = AddressTable::default();
        let address = |number: u32| IpAddr::from(number.to_be_bytes());
        let first = table.state(address(1));
        for number in 2..u32::try_from(GENERATION_MAX).unwrap() + 100 {
            table.state(address(number));
        }
        assert!(Arc::ptr_eq(&first, &table.state(address(1))));
        for number in 1_000_000..1_000_000 + 2 * u32::try_from(GENERATION_MAX).unwrap() + 100 {
            table.state(address(number));
        }
        assert!(!Arc::ptr_eq(&first, &table.state(address(1))));
    }
}
