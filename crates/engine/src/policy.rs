//! The policy as owners see it. The configuration file stays its source: nothing is edited here.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::policy::Policy;
use keystile_core::time::Span;

use crate::command::{Authorized, Command, Running};
use crate::engine::Engine;

/// The policy in force, and what else the configuration says that owners want to see.
#[derive(Clone, Debug)]
pub struct PolicyInForce {
    /// The policy.
    pub policy: Arc<Policy>,
    /// When it was read, and what came of the last attempt to read it again.
    pub note: Arc<String>,
    /// How long records are kept; for ever where `None`.
    pub retention: Option<Span>,
}

/// Shows the policy in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShowPolicy;

impl Command for ShowPolicy {
    type Answer = PolicyInForce;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, PolicyInForce> {
        Box::pin(async move {
            Ok(PolicyInForce {
                policy: engine.policy(),
                note: engine.policy_note.load_full(),
                retention: engine.settings.load().retention,
            })
        })
    }
}
