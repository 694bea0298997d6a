//! Writes that a gateway asks about by what they do, and not by their requests: it has the request, and sends it.
//!
//! Such a door knows whose key calls, and names what it does in a word of its own, as `post`. To the policy that is
//! the operation `POST /post` of the API, below its path, so plans and budgets can name it like any other. What
//! becomes of the write nobody says: its record ends as `handed_over`, and stays counted.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use keystile_core::decision::{Call, CallerState, Permit, decide};
use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::policy::api::{Charge, Mode};
use keystile_core::refusal::Reason;
use keystile_core::request::grammar::fold_path;
use keystile_store::key_cache::KeyEntry;
use keystile_store::reservation::{Sender, Settlement};

use crate::admission::identity::{Identity, key_source_unavailable};
use crate::admission::permit::{AdmittedRequest, Attempt, ForwardedTarget, WritePermit};
use crate::admission::reserve::Reservation;
use crate::engine::Engine;

/// A write that another gateway may send.
#[derive(Clone, Debug)]
pub struct RelayedWrite<'a> {
    /// The API, as the policy names it.
    pub api: &'a str,
    /// Whose write it is.
    pub key: Arc<KeyEntry>,
    /// What it does: the last part of its operation's path, of `a-z`, `0-9`, `_`, `-` and `.`.
    pub operation: &'a str,
    /// How many writes it is, at least one.
    pub cost: u32,
    /// Where whoever asks came from.
    pub address: IpAddr,
}

impl Engine {
    /// Decides on a write that another gateway sends, and takes it from the budgets of its key. `None` where its
    /// API is not guarded.
    ///
    /// # Errors
    /// When the key, its plan or a budget refuses it, the policy has no such API, or it cannot be recorded; a
    /// budget may lock the key by it. Refusals are on record then.
    pub async fn reserve_relayed(
        &self,
        write: RelayedWrite<'_>,
    ) -> Result<Option<Reservation>, Reason> {
        let RelayedWrite { api, key, operation, cost, address } = write;
        let policy = self.policy();
        let Some(api) = policy.api_named(api) else {
            return Err(Reason::HostUnknown);
        };
        if api.api.spec().mode == Mode::Off {
            return Ok(None);
        }
        let path = format!("{}/{operation}", api.api.spec().path.trim_end_matches('/'));
        let method = Method::POST;
        let mut found = api.api.operation(&method, &path, &fold_path(&path));
        found.charge = Charge::Writes(cost);
        let now = self.store.now();
        key.note_call(now);
        let plan = key.plan();
        let caller = CallerState::Key {
            id: key.id,
            state: key.state(now),
            application: key.application.state(),
            plan: &plan,
            rate: &key.rate,
        };
        let identity = Identity::Key(key.clone());
        let facts = RequestFacts {
            api: api.api.name().to_owned(),
            operation: api.api.label(&method, &found),
            method: method.to_string(),
            path,
            address,
            user_agent: None,
            request_bytes: None,
        };
        let unheard = identity.lacks_its_source(now).then(key_source_unavailable);
        let call = Call { api, operation: &found, caller, objection: unheard.as_ref(), now };
        let permit = match decide(&policy, &call) {
            Ok(Permit::Write(permit)) => permit,
            // Its charge says that it writes.
            Ok(Permit::Read(_) | Permit::Body(_)) => return Ok(None),
            Err(refusal) => {
                self.note_refused(&identity, refusal.reason, facts);
                return Err(refusal.reason);
            }
        };
        let request = AdmittedRequest {
            api: api.api.clone(),
            identity,
            plan: None,
            address,
            scheme: "http",
            target: ForwardedTarget::AsSent,
            credential: None,
            is_upgrade: false,
        };
        let attempt = Attempt {
            request,
            policy: policy.clone(),
            facts: Arc::new(facts),
            base: String::new(),
        };
        let reservation =
            self.reserve_for(WritePermit { attempt, permit }, Sender::OtherGateway, None);
        reservation.await.map(Some).map_err(|refused| refused.problem.reason)
    }
}

impl Reservation {
    /// Ends it as a write that another gateway sends, of which nobody will say more. Dropped instead, it was not
    /// sent, and is given back.
    pub fn hand_over(self, engine: &Engine) {
        if let Some(reserved) = self.into_reserved() {
            let handed_over = Settlement { outcome: Outcome::HandedOver, ..Settlement::NOT_SENT };
            engine.store.settle(reserved, handed_over);
        }
    }
}
