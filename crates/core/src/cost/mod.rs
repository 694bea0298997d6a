//! What a body costs: the entries of a JSON array, the mutations of a GraphQL request, the calls of a
//! JSON-RPC batch.
//!
//! # What this protects
//!
//! The count is only right where the upstream reads the body as it is read here. So a body is counted
//! where there is one reading of it: one media type that the rule names, UTF-8, no coding, one member of
//! the counted name however names are folded, one place for a query. Every other body is uncountable:
//! it is refused, or costs the rule's `cost_max`, and is never free.

use crate::policy::operation::{BodyKind, BodyRule};
use crate::refusal::{Reason, Refusal};

mod address;
mod call;
mod document;
mod graphql;
pub mod head;
mod json;
mod media;
mod member;
mod uncountable;

pub use call::CountedCall;
use uncountable::Uncountable;

/// What the policy says of a call whose body tells its cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyCharge {
    /// How to count; of several rules the one that counts most holds.
    pub rules: Vec<BodyRule>,
    /// The least that a write of this operation costs.
    pub cost_min: u32,
    /// What a body costs that holds no write: zero where such a call reads.
    pub cost_of_none: u32,
}

/// What a call costs in each of its budgets; zero when it only reads.
///
/// A body that cannot be counted costs the rule's `cost_max`.
///
/// # Errors
/// `BodyUncountable` when a body cannot be counted and its rule has no `cost_max`.
pub fn cost_of(charge: &BodyCharge, call: &CountedCall<'_>) -> Result<u32, Refusal> {
    let mut most = 0;
    for rule in &charge.rules {
        let counted = match (count(&rule.kind, call), rule.cost_max) {
            (Ok(count), _) => count,
            (Err(_), Some(cost_max)) => cost_max.max(1),
            (Err(fault), None) => {
                return Err(Refusal::new(Reason::BodyUncountable).because(fault.0));
            }
        };
        most = most.max(counted);
    }
    Ok(if most == 0 { charge.cost_of_none } else { most.max(charge.cost_min) })
}

/// How many writes a body holds; only GraphQL may hold none.
fn count(kind: &BodyKind, call: &CountedCall<'_>) -> Result<u32, Uncountable> {
    match kind {
        BodyKind::GraphQl => graphql::mutations(call),
        BodyKind::Items { at } => json::items(call, at.as_deref()).map(|count| count.max(1)),
        BodyKind::JsonRpc => json::calls(call).map(|count| count.max(1)),
    }
}

#[cfg(test)]
mod tests;
