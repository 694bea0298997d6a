//! Refusals that wait to be put on record: a burst of them becomes a few lines with exact counts.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::keys::key::KeyId;
use keystile_core::refusal::Reason;
use keystile_store::reservation::RefusedRecord;

use crate::admission::identity::Identity;

/// So many kinds of refusal are told apart between two writings; what is beyond shares a line by reason.
const KINDS_MAX: usize = 200;

/// What two refusals have in common that share a line.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    key: Option<KeyId>,
    reason: Reason,
    outcome: Outcome,
    /// Where it was aimed at and came from; `None` once there are too many kinds.
    origin: Option<Origin>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Origin {
    api: String,
    method: String,
    operation: String,
    address: IpAddr,
}

impl Origin {
    fn of(facts: &RequestFacts) -> Self {
        let RequestFacts { api, method, operation, address, .. } = facts;
        Self {
            api: api.clone(),
            method: method.clone(),
            operation: operation.clone(),
            address: *address,
        }
    }
}

/// Refusals since the last time they were written down.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog {
    kinds: Mutex<HashMap<Kind, RefusedRecord>>,
}

impl RefusalLog {
    pub(super) fn add(
        &self,
        identity: &Identity,
        reason: Reason,
        outcome: Outcome,
        mut facts: RequestFacts,
    ) {
        let mut key = match identity {
            Identity::Key(key) => Some(key.clone()),
            Identity::Keyless | Identity::Unknown => None,
        };
        let origin = Some(Origin::of(&facts));
        let mut kind = Kind { key: key.as_ref().map(|key| key.id), reason, outcome, origin };
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        if kinds.len() >= KINDS_MAX && !kinds.contains_key(&kind) {
            kind = Kind { key: None, reason, outcome, origin: None };
            // The line stands for others too: it must not tell their refusals of this key and operation.
            key = None;
            facts.api.clear();
            facts.operation.clear();
        }
        kinds
            .entry(kind)
            .and_modify(|record| record.count = record.count.saturating_add(1))
            .or_insert(RefusedRecord { key, facts, reason, outcome, count: 1 });
    }

    pub(super) fn take(&self) -> Vec<RefusedRecord> {
        let mut kinds = self.kinds.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *kinds).into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(path: &str, address: [u8; 4]) -> RequestFacts {
        RequestFacts {
            api: "bookmarks".to_owned(),
            operation: String::new(),
            method: "DELETE".to_owned(),
            path: path.to_owned(),
            address: IpAddr::from(address),
            user_agent: None,
            request_bytes: None,
        }
    }

    #[test]
    fn each_operation_has_a_line_of_its_own() {
        let log = RefusalLog::default();
        for (path, operation) in
            [("/a/1", "DELETE /a/{id}"), ("/b/1", "DELETE /b/{id}"), ("/a/2", "DELETE /a/{id}")]
        {
            let facts =
                RequestFacts { operation: operation.to_owned(), ..facts(path, [192, 0, 2, 1]) };
            log.add(&Identity::Unknown, Reason::KeyUnknown, Outcome::Refused, facts);
        }
        let mut lines: Vec<_> =
            log.take().into_iter().map(|line| (line.facts.operation, line.count)).collect();
        lines.sort_unstable();
        assert_eq!(lines, [("DELETE /a/{id}".to_owned(), 2), ("DELETE /b/{id}".to_owned(), 1)]);
    }

    #[test]
    fn a_storm_is_few_lines_with_an_exact_total() {
        let log = RefusalLog::default();
        for number in 0..10_000_u32 {
            let address = (number % 1000).to_be_bytes();
            log.add(&Identity::Unknown, Reason::KeyUnknown, Outcome::Refused, facts("/x", address));
        }
        let lines = log.take();
        assert!(lines.len() <= KINDS_MAX + 1);
        assert_eq!(lines.iter().map(|line| line.count).sum::<u32>(), 10_000);
        let shared: Vec<_> = lines.iter().filter(|line| line.count > 10).collect();
        assert!(matches!(shared[..], [line] if line.facts.api.is_empty()), "{shared:?}");
        assert!(log.take().is_empty());
    }
}
