//! What an account is opened by, and what is known of one that is open.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_core::budget::Account;
use keystile_core::policy::{Plan, Policy};

use crate::departure::WriteDeparture;
use crate::sqlite::journal::subject_index::SubjectIndex;

/// Where the writes of all subjects are found: by subject, and those that are under way.
pub(crate) type Rows<'a> = (&'a SubjectIndex, &'a BTreeMap<i64, Arc<WriteDeparture>>);

/// By what a subject's writes are counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) plan: &'a Arc<Plan>,
}

/// An account, and what it was loaded from.
#[derive(Debug)]
pub(super) struct OpenAccount {
    pub(super) account: Account<Arc<WriteDeparture>>,
    /// Its budgets are in the order of this plan; another plan means another account.
    pub(super) plan: Arc<Plan>,
    /// Records up to this one were counted from the journal, as far as they count.
    pub(super) counted_to: i64,
}
