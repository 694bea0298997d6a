//! Who calls: the key is looked up in memory.

use std::net::IpAddr;
use std::slice;

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::LockLevel;
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::Presented;

use crate::admission::identity::{Identity, OpenCall};
use crate::engine::Engine;

impl Engine {
    /// Whether a call that was permitted may go on, by what has become of its key since.
    pub fn may_go_on(&self, identity: &Identity, call: OpenCall) -> bool {
        let Identity::Key(key) = identity else {
            return true;
        };
        let is_locked = match key.state(self.store.now()) {
            KeyState::Active => false,
            KeyState::Locked(lock) => lock.level == LockLevel::All || call == OpenCall::Writes,
            KeyState::Revoked => true,
        };
        !is_locked && key.application.state() == ApplicationState::Active
    }

    /// Who calls, and what a caller without a known key lacks.
    pub(super) fn identify(&self, presented: &Presented<'_>) -> (Identity, Reason) {
        match presented {
            Presented::Nothing => (Identity::Keyless, Reason::KeyMissing),
            Presented::Key(credential) => (self.find_key(&credential.text), Reason::KeyUnknown),
            // Where it may not pass without a key, whoever sent it meant one. It takes the way of one.
            Presented::Other(credential) => match self.find_key(&credential.text) {
                Identity::Unknown | Identity::Keyless => (Identity::Keyless, Reason::KeyUnknown),
                key @ Identity::Key(_) => (key, Reason::KeyUnknown),
            },
            Presented::Twice => (Identity::Unknown, Reason::CredentialRepeated),
        }
    }

    /// Every text takes the same way, hash and lookup included, whether it is malformed, unknown, or a key that
    /// another system issued, so that the time of the answer tells nothing. What form a key has is asked only
    /// once its hash was found, and whoever has the text of a key knows its form.
    fn find_key(&self, text: &[u8]) -> Identity {
        let hash = self.store.pepper().hash(text);
        match self.store.keys().find(&hash) {
            Some(key) if key.form.fits(text) => Identity::Key(key),
            Some(_) | None => Identity::Unknown,
        }
    }

    pub(super) fn slow_down_guessing(&self, address: IpAddr, refusal: &mut Refusal) {
        if let Err(seconds) = self.count_guess(address) {
            *refusal = Refusal::new(Reason::RateLimited)
                .because("Too many requests with unknown keys came from this address.")
                .retry_after_secs(seconds);
        }
    }

    /// Whether so many unknown keys came from an address that another one is only told to wait.
    pub(super) fn has_guessed_enough(&self, address: IpAddr) -> bool {
        let limit = self.settings.load().key_failures;
        !self.failures.state(address).has_room(slice::from_ref(&limit), self.store.now())
    }

    /// Counts a secret that is none against the address it came from; says how many seconds to wait where
    /// there were too many.
    pub(crate) fn count_guess(&self, address: IpAddr) -> Result<(), u64> {
        let limit = self.settings.load().key_failures;
        self.failures.state(address).admit(slice::from_ref(&limit), self.store.now())
    }
}
