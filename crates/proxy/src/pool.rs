//! The upstreams of one core, by API. A reload keeps the connections of an API whose upstream stays.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use keystile_core::api::{Api, UpstreamRule};
use keystile_core::refusal::{Reason, Refusal};

use crate::deadline::Deadlines;
use crate::meter::Meter;
use crate::upstream::Upstream;

/// APIs that were replaced are forgotten once there are this many.
const KEPT_MAX: usize = 64;

#[derive(Default)]
pub(crate) struct Pool {
    entries: RefCell<Vec<Entry>>,
    meters: RefCell<Vec<(Arc<Api>, Meter)>>,
}

struct Entry {
    api: Arc<Api>,
    rule: UpstreamRule,
    upstream: Rc<Upstream>,
}

impl Pool {
    /// The upstream of an API.
    pub(crate) fn upstream(
        &self,
        api: &Arc<Api>,
        deadlines: &Arc<Deadlines>,
    ) -> Result<Rc<Upstream>, Refusal> {
        let mut entries = self.entries.borrow_mut();
        if let Some(entry) = entries.iter().find(|entry| Arc::ptr_eq(&entry.api, api)) {
            return Ok(entry.upstream.clone());
        }
        let rule = &api.spec().upstream;
        if let Some(entry) = entries
            .iter_mut()
            .find(|entry| entry.api.name() == api.name() && entry.rule == *rule)
        {
            entry.api = api.clone();
            return Ok(entry.upstream.clone());
        }
        let upstream = Upstream::new(rule, deadlines.clone()).map_err(|error| {
            tracing::error!(api = api.name(), %error, "the upstream's certificates cannot be read");
            Refusal::new(Reason::UpstreamUnreachable)
        })?;
        let upstream = Rc::new(upstream);
        if entries.len() >= KEPT_MAX {
            entries.remove(0);
        }
        entries.push(Entry {
            api: api.clone(),
            rule: rule.clone(),
            upstream: upstream.clone(),
        });
        Ok(upstream)
    }

    /// The counters of an API.
    pub(crate) fn meter(&self, api: &Arc<Api>) -> Meter {
        let mut meters = self.meters.borrow_mut();
        if let Some((_, meter)) = meters.iter().find(|(known, _)| Arc::ptr_eq(known, api)) {
            return meter.clone();
        }
        let meter = Meter::of(api.name());
        if meters.len() >= KEPT_MAX {
            meters.remove(0);
        }
        meters.push((api.clone(), meter.clone()));
        meter
    }
}
