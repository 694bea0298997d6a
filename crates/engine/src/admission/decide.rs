//! Whether a call may go on: who calls is found in memory, and core decides, in [`keystile_core::decision`].
//!
//! Where all that speaks against a call is that its key is not known here, a key source may know it. Then
//! nothing is decided, and the door has it looked up there before it asks again.

use std::net::IpAddr;

use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::policy::api::OperationMatch;
use keystile_core::policy::{ApiRef, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::Presented;

use crate::admission::identity::{Identity, key_source_unavailable};
use crate::admission::unknown_key::{LookedUp, UnknownKey};
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
    /// What key sources said of its key, once they were asked.
    pub(super) looked_up: Option<LookedUp>,
}

/// What was decided on a request.
#[derive(Debug)]
pub(super) struct Decided {
    /// Who calls; also known for most refusals, for the journal.
    pub(super) identity: Identity,
    /// The permit, or why there is none.
    pub(super) decision: Result<Permit, Refusal>,
}

impl Engine {
    /// Decides on a request, from memory.
    ///
    /// # Errors
    /// When a key source may know the key that is unknown here, and was not asked yet; nothing is decided then.
    pub(super) fn decide(&self, incoming: &Incoming<'_>) -> Result<Decided, UnknownKey> {
        let (identity, lacks) = self.identify(incoming.presented);
        let lacks = match incoming.looked_up {
            Some(looked_up) if lacks == Reason::KeyUnknown => looked_up.refusal(),
            Some(_) | None => lacks.into(),
        };
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
                CallerState::Keyless { rate: &keyless, lacks: &lacks }
            }
            Identity::Unknown => CallerState::Unknown { why: &lacks },
        };
        let twice = Refusal::new(Reason::CredentialRepeated);
        let is_twice = matches!(incoming.presented, Presented::Twice);
        let objection = incoming.objection.or(is_twice.then_some(&twice));
        let unheard = identity.lacks_its_source(now).then(key_source_unavailable);
        let objection = objection.or(unheard.as_ref());
        let Incoming { api, operation, .. } = *incoming;
        let call = Call { api, operation, caller, objection, now };
        let mut decision = decide(incoming.policy, &call);
        if objection_of(&decision) == Some(Reason::KeyUnknown) {
            if incoming.looked_up.is_none()
                && let Some(unknown) = self.unknown_key(incoming.presented, incoming.address)
            {
                return Err(unknown);
            }
            if let Err(refusal) = &mut decision {
                self.slow_down_guessing(incoming.address, refusal);
            }
        }
        Ok(Decided { identity, decision })
    }
}

/// What speaks against a call, whether or not it may pass in spite of it.
fn objection_of(decision: &Result<Permit, Refusal>) -> Option<Reason> {
    match decision {
        Ok(permit) => permit.objection(),
        Err(refusal) => Some(refusal.reason),
    }
}
