//! Whether a call may go on: who calls is looked up, and core decides, in [`keystile_core::decision`].

use std::net::IpAddr;

use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::policy::api::OperationMatch;
use keystile_core::policy::{ApiRef, Policy};
use keystile_core::refusal::{Reason, Refusal};
use keystile_core::request::credential::Presented;

use crate::admission::identity::Identity;
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
    pub(super) fn decide(&self, incoming: &Incoming<'_>) -> Decided {
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
        Decided { identity, decision }
    }
}
