//! What guards signing in with a password or a recovery code: growing delays, and one
//! line in the audit for many failures.
//!
//! # How
//!
//! The console asks [`Engine::admit_sign_in`] before it checks a password. The attempt counts as a failure
//! at once, against the name and against the address; [`Engine::begin_session`] takes that back. At an
//! address where an owner has signed in before, only attempts at that name from that address count, so
//! nobody elsewhere can slow that owner down. Passkeys cannot be guessed, so they are never delayed.

use std::net::IpAddr;

use keystile_core::actor::Actor;
use keystile_core::request::address::counted_address;
use keystile_core::time::{Span, Timestamp};
use keystile_store::audit::EventKind;

use crate::engine::Engine;
use crate::owners::attempts::Place;
pub use crate::owners::attempts::SignInWait;

/// Failures are written to the audit once for each address and so long.
const REPORTED_EVERY: Span = Span::from_secs(60);

impl Engine {
    /// Asks whether somebody may try to sign in with a password or a recovery code. Counts the attempt;
    /// where it succeeds, [`Engine::begin_session`] takes that back, and where it fails,
    /// [`Engine::note_failed_sign_in`] tells the owners.
    ///
    /// # Errors
    /// When they have to wait first.
    pub async fn admit_sign_in(&self, name: &str, address: IpAddr) -> Result<(), SignInWait> {
        let is_known =
            self.sign_ins.remembers(name, address) || self.is_signed_in_at(name, address).await;
        let place = if is_known { Place::Known } else { Place::Unknown };
        self.sign_ins.admit(name, address, place, self.store.now())
    }

    /// After a restart, an address is known where the owner is still signed in.
    async fn is_signed_in_at(&self, name: &str, address: IpAddr) -> bool {
        let counted = counted_address(address);
        // Where the store cannot say, the delays of strangers hold.
        let addresses = self.store.session_addresses(name.to_owned()).await;
        let addresses = addresses.unwrap_or_else(|error| {
            tracing::warn!(%error, "where an owner is signed in could not be read");
            Vec::new()
        });
        let mut addresses = addresses.iter().filter_map(|address| address.parse().ok());
        addresses.any(|address| counted_address(address) == counted)
    }

    /// Notes that an attempt to sign in failed. It is in the audit within about a minute, in one line with
    /// others from the same address.
    pub async fn note_failed_sign_in(&self, name: &str, address: IpAddr) {
        let owner = self.store.owner(name.to_owned()).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "a failed sign-in is noted without its owner, who could not be read");
            None
        });
        self.sign_ins.failed(owner.map(|owner| owner.name), address, self.store.now());
    }

    /// Writes the failures that have waited long enough.
    pub(crate) async fn report_failed_sign_ins(&self) {
        let now = self.store.now();
        let before = Timestamp(now.0.saturating_sub(REPORTED_EVERY.millis()));
        self.write_failed_sign_ins(before).await;
    }

    /// Writes all failures, because the server stops.
    pub async fn finish_sign_ins(&self) {
        self.write_failed_sign_ins(Timestamp(i64::MAX)).await;
    }

    async fn write_failed_sign_ins(&self, first_before: Timestamp) {
        for line in self.sign_ins.take_failed(first_before) {
            self.note(EventKind::SignInFailed, Actor::Stranger, line).await;
        }
    }
}
