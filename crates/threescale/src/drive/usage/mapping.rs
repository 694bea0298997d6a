//! What calls count as in 3scale.

use std::collections::{BTreeMap, BTreeSet};

use keystile_core::request::call_method::CallMethod;

/// Which metric or method of the service a call counts in. A method's own stands in the place of its class's, so
/// a call counts in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsageMap {
    /// Of reads.
    pub reads: Option<String>,
    /// Of writes.
    pub writes: Option<String>,
    /// Of calls with a method, whether they read or write.
    pub methods: BTreeMap<CallMethod, String>,
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CallClass {
    Read,
    Write,
}

impl UsageMap {
    /// Whether no call counts.
    pub fn is_empty(&self) -> bool {
        self.names().is_empty()
    }

    /// All metrics that are named.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let classes = self.reads.iter().chain(&self.writes);
        classes.chain(self.methods.values()).map(String::as_str).collect()
    }

    /// What a call counts in.
    pub(super) fn metric(&self, method: CallMethod, class: CallClass) -> Option<&str> {
        let of_class = match class {
            CallClass::Read => self.reads.as_ref(),
            CallClass::Write => self.writes.as_ref(),
        };
        self.methods.get(&method).or(of_class).map(String::as_str)
    }

    /// Whether any read counts.
    pub(crate) fn counts_reads(&self) -> bool {
        self.reads.is_some() || !self.methods.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_counts_in_one_metric_and_its_method_is_asked_first() {
        let map = UsageMap {
            reads: Some("hits".to_owned()),
            writes: None,
            methods: BTreeMap::from([(CallMethod::Delete, "deletions".to_owned())]),
        };
        assert_eq!(map.metric(CallMethod::Get, CallClass::Read), Some("hits"));
        assert_eq!(map.metric(CallMethod::Delete, CallClass::Write), Some("deletions"));
        assert_eq!(map.metric(CallMethod::Delete, CallClass::Read), Some("deletions"));
        assert_eq!(map.metric(CallMethod::Post, CallClass::Write), None);
        assert_eq!(map.names(), BTreeSet::from(["hits", "deletions"]));
    }
}
