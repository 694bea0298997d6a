//! What a write asks of its budgets.

use std::sync::Arc;

use keystile_core::policy::{Plan, Policy};

/// A write that asks for room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Debit<'a> {
    pub(crate) subject: i64,
    pub(crate) policy: &'a Policy,
    pub(crate) plan: &'a Arc<Plan>,
    /// The places of the budgets that count it.
    pub(crate) budgets: &'a [usize],
    pub(crate) cost: u32,
}
