//! Attempts to sign in: how long who tries again has to wait, and which failures are not yet in the audit.
//! All in bounded memory.
//!
//! Names and addresses share a fixed number of places, found by a hash that differs with each start:
//! no flood of either makes the memory grow or makes a place be forgotten. Two that share a place share
//! its delay, which is short.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use keystile_core::owners::sign_in::Attempts;
use keystile_core::request::address::counted_address;
use keystile_core::time::Timestamp;

/// Attempts that cost no wait: people mistype.
const FREE_ATTEMPTS: u32 = 5;
/// The same at an address where the owner has signed in before, and for an address as a whole, behind
/// which there may be several owners.
const FREE_ATTEMPTS_WIDE: u32 = 10;
const NAME_PLACES: usize = 4_096;
const ADDRESS_PLACES: usize = 65_536;
/// Owners are few, and have few addresses.
const KNOWN_MAX: usize = 10_000;
/// So many addresses have a line of their own; the rest share one.
const REPORTED_ADDRESSES: usize = 10;

/// Somebody has to wait before they try to sign in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignInWait {
    /// For so many seconds.
    pub seconds: u64,
}

/// Whether an owner is known to have signed in at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Known,
    Unknown,
}

/// What is remembered of attempts to sign in.
#[derive(Debug, Default)]
pub(crate) struct SignIns {
    places: RandomState,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    names: Vec<Attempts>,
    addresses: Vec<Attempts>,
    known: HashMap<(String, IpAddr), Attempts>,
    failed: Failed,
}

/// Failures that are not yet in the audit.
#[derive(Debug, Default)]
struct Failed {
    since: Option<Timestamp>,
    by_address: BTreeMap<IpAddr, FailedThere>,
    elsewhere: u64,
}

#[derive(Debug, Default)]
struct FailedThere {
    count: u64,
    /// Names of owners only: in the place of a name somebody may have typed their password.
    owners: BTreeSet<String>,
}

impl SignIns {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn place(&self, of: impl std::hash::Hash, places: usize) -> usize {
        let hash = self.places.hash_one(of) % places as u64;
        usize::try_from(hash).unwrap_or_default()
    }

    /// Whether an owner signed in at an address since the start.
    pub(super) fn remembers(&self, name: &str, address: IpAddr) -> bool {
        self.inner().known.contains_key(&(name.to_lowercase(), counted_address(address)))
    }

    pub(super) fn admit(
        &self,
        name: &str,
        address: IpAddr,
        place: Place,
        now: Timestamp,
    ) -> Result<(), SignInWait> {
        let (name, address) = (name.to_lowercase(), counted_address(address));
        let (by_name, by_address) =
            (self.place(&name, NAME_PLACES), self.place(address, ADDRESS_PLACES));
        let pair = (name, address);
        let mut inner = self.inner();
        let wait = |attempts: &mut Attempts, free| match attempts.wait_secs(free, now) {
            Some(seconds) => Err(SignInWait { seconds }),
            None => Ok(()),
        };
        if place == Place::Known || inner.known.contains_key(&pair) {
            let attempts = inner.known.entry(pair).or_default();
            wait(attempts, FREE_ATTEMPTS_WIDE)?;
            attempts.count(now);
            return Ok(());
        }
        inner.names.resize(NAME_PLACES, Attempts::default());
        inner.addresses.resize(ADDRESS_PLACES, Attempts::default());
        wait(&mut inner.names[by_name], FREE_ATTEMPTS)?;
        wait(&mut inner.addresses[by_address], FREE_ATTEMPTS_WIDE)?;
        inner.names[by_name].count(now);
        inner.addresses[by_address].count(now);
        Ok(())
    }

    pub(crate) fn succeeded(&self, name: &str, address: IpAddr) {
        let (name, address) = (name.to_lowercase(), counted_address(address));
        let (by_name, by_address) =
            (self.place(&name, NAME_PLACES), self.place(address, ADDRESS_PLACES));
        let mut inner = self.inner();
        if let Some(attempts) = inner.names.get_mut(by_name) {
            attempts.take_back();
        }
        if let Some(attempts) = inner.addresses.get_mut(by_address) {
            attempts.take_back();
        }
        if inner.known.len() >= KNOWN_MAX {
            inner.known.clear();
        }
        inner.known.insert((name, address), Attempts::default());
    }

    pub(super) fn failed(&self, owner: Option<String>, address: IpAddr, now: Timestamp) {
        let mut inner = self.inner();
        let failed = &mut inner.failed;
        failed.since.get_or_insert(now);
        let has_room = failed.by_address.len() < REPORTED_ADDRESSES;
        if !has_room && !failed.by_address.contains_key(&address) {
            failed.elsewhere += 1;
            return;
        }
        let there = failed.by_address.entry(address).or_default();
        there.count += 1;
        if there.owners.len() < REPORTED_ADDRESSES {
            there.owners.extend(owner);
        }
    }

    /// What is to be written, once so long has passed since the first of it.
    pub(super) fn take_failed(&self, first_before: Timestamp) -> Vec<String> {
        let mut inner = self.inner();
        if inner.failed.since.is_none_or(|since| since > first_before) {
            return Vec::new();
        }
        let Failed { since: _, by_address, elsewhere } = std::mem::take(&mut inner.failed);
        drop(inner);
        let mut lines: Vec<String> = by_address
            .into_iter()
            .map(|(address, FailedThere { count, owners })| {
                let at = if owners.is_empty() {
                    "no owner's name".to_owned()
                } else {
                    owners.into_iter().collect::<Vec<_>>().join(", ")
                };
                format!("{count} times from {address}, as {at}")
            })
            .collect();
        if elsewhere > 0 {
            lines.push(format!("{elsewhere} times from other addresses"));
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000_000_000);

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn guessing_slows_down_however_many_addresses_it_comes_from() {
        let sign_ins = SignIns::default();
        let admitted =
            (0..1_000).filter(|n| sign_ins.admit("Ada", address(*n), Place::Unknown, NOW).is_ok());
        // A thousand at once are a few, not a thousand.
        assert_eq!(admitted.count(), FREE_ATTEMPTS as usize + 1);
        assert!(sign_ins.admit("ada", address(5_000), Place::Unknown, NOW).is_err(), "in any case");
    }

    #[test]
    fn an_owner_at_a_known_address_is_not_slowed_down_by_others() {
        let sign_ins = SignIns::default();
        sign_ins.succeeded("Ada", address(1));
        for number in 100..2_000 {
            let _ = sign_ins.admit("ada", address(number), Place::Unknown, NOW);
        }
        assert!(sign_ins.admit("ada", address(9), Place::Unknown, NOW).is_err());
        assert!(sign_ins.admit("ADA", address(1), Place::Unknown, NOW).is_ok());
        // After a restart the store knows the address.
        assert!(sign_ins.admit("ada", address(7), Place::Known, NOW).is_ok());
    }

    #[test]
    fn somebody_who_guesses_from_a_known_address_is_slowed_down_too() {
        let sign_ins = SignIns::default();
        sign_ins.succeeded("ada", address(1));
        let admitted =
            (0..100).filter(|_| sign_ins.admit("ada", address(1), Place::Known, NOW).is_ok());
        assert_eq!(admitted.count(), FREE_ATTEMPTS_WIDE as usize + 1);
        sign_ins.succeeded("ada", address(1));
        assert!(sign_ins.admit("ada", address(1), Place::Known, NOW).is_ok());
    }

    #[test]
    fn a_brute_force_fills_a_few_lines_a_minute() {
        let sign_ins = SignIns::default();
        for number in 0..50_000 {
            sign_ins.failed(Some("ada".to_owned()), address(number % 5_000), NOW);
        }
        assert!(sign_ins.take_failed(Timestamp(NOW.0 - 1)).is_empty(), "not before its time");
        let lines = sign_ins.take_failed(NOW);
        assert_eq!(lines.len(), REPORTED_ADDRESSES + 1);
        assert_eq!(lines[0], "10 times from 0.0.0.0, as ada");
        assert_eq!(lines[REPORTED_ADDRESSES], "49900 times from other addresses");
        assert!(sign_ins.take_failed(Timestamp(i64::MAX)).is_empty());
    }
}
