//! Who calls, and whether they may: the key is looked up in memory, and core decides.

use std::net::IpAddr;
use std::slice;

use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::KeyState;
use keystile_core::keys::lock::LockLevel;
use keystile_core::keys::text::well_formed;
use keystile_core::policy::api::OperationMatch;
use keystile_core::policy::{ApiRef, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::Presented;

use crate::admission::identity::{Identity, OpenCall};
use crate::engine::Engine;

/// A request whose head was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    /// The policy that it is held against.
    pub(super) policy: &'a Policy,
    /// The API that it is for.
    pub(super) api: ApiRef<'a>,
    /// What the policy says of its operation.
    pub(super) operation: &'a OperationMatch,
    /// The key that it carries, if it does.
    pub(super) presented: &'a Presented<'a>,
    /// What speaks against it, whoever calls.
    pub(super) objection: Option<&'a Refusal>,
    /// Where it came from.
    pub(super) address: IpAddr,
}

/// Who calls, and whether they may.
#[derive(Debug)]
pub(super) struct Authorization {
    /// Who calls; also known for most refusals, for the journal.
    pub(super) identity: Identity,
    /// The permit, or why there is none.
    pub(super) decision: Result<Permit, Refusal>,
}

impl Engine {
    /// Decides on a request, from memory.
    pub(super) fn authorize(&self, incoming: &Incoming<'_>) -> Authorization {
        let (identity, lacks) = self.identify(incoming.presented);
        let (keyless, plan);
        let now = self.store.now();
        if let Identity::Key(key) = &identity {
            key.note_call(now);
        }
        let caller = match &identity {
            Identity::Key(key) => {
                plan = key.plan();
                CallerState::Key {
                    id: key.id,
                    state: key.state(now),
                    application: key.application.state(),
                    plan: &plan,
                    rate: &key.rate,
                }
            }
            Identity::Keyless => {
                keyless = self.keyless.state(incoming.address);
                CallerState::Keyless { rate: &keyless, lacks }
            }
            Identity::Unknown => CallerState::Unknown,
        };
        let twice = Refusal::new(Reason::CredentialRepeated);
        let is_twice = matches!(incoming.presented, Presented::Twice);
        let objection = incoming.objection.or(is_twice.then_some(&twice));
        let Incoming { api, operation, .. } = *incoming;
        let call = Call { api, operation, caller, objection, now };
        let mut decision = decide(incoming.policy, &call);
        if let Err(refusal) = &mut decision
            && refusal.reason == Reason::KeyUnknown
        {
            self.slow_down_guessing(incoming.address, refusal);
        }
        Authorization { identity, decision }
    }

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

    /// Who calls, and what a caller without a key lacks.
    fn identify(&self, presented: &Presented<'_>) -> (Identity, Reason) {
        match presented {
            Presented::Nothing => (Identity::Keyless, Reason::KeyMissing),
            Presented::Key(credential) => (self.look_up(&credential.text), Reason::KeyUnknown),
            // Where it may not pass without a key, whoever sent it meant one. It takes the way of one.
            Presented::Other(credential) => match self.look_up(&credential.text) {
                Identity::Unknown | Identity::Keyless => (Identity::Keyless, Reason::KeyUnknown),
                key @ Identity::Key(_) => (key, Reason::KeyUnknown),
            },
            Presented::Twice => (Identity::Unknown, Reason::CredentialRepeated),
        }
    }

    /// Malformed and unknown keys take the same way, hash and lookup included, so that the time of the
    /// answer tells nothing; the check sum only spares well-meant typos a journal line of their own.
    fn look_up(&self, text: &[u8]) -> Identity {
        let hash = self.store.pepper().hash(text);
        match self.store.keys().find(&hash) {
            Some(key) if well_formed(text) => Identity::Key(key),
            Some(_) | None => Identity::Unknown,
        }
    }

    fn slow_down_guessing(&self, address: IpAddr, refusal: &mut Refusal) {
        if let Err(seconds) = self.count_guess(address) {
            *refusal = Refusal::new(Reason::RateLimited)
                .because("Too many requests with unknown keys came from this address.")
                .retry_after_secs(seconds);
        }
    }

    /// Counts a secret that is none against the address it came from; says how many seconds to wait where
    /// there were too many.
    pub(crate) fn count_guess(&self, address: IpAddr) -> Result<(), u64> {
        let limit = self.settings.load().key_failures;
        self.failures.state(address).admit(slice::from_ref(&limit), self.store.now())
    }
}
