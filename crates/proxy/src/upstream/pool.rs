//! The upstreams of one core, by API. A reload keeps the connections of an API whose upstream stays.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use keystile_core::policy::api::Api;
use keystile_core::refusal::{Reason, Refusal};

use crate::deadline::Deadlines;
use crate::meter::Meter;
use crate::upstream::Upstream;

/// APIs that were replaced are forgotten once there are this many.
const KEPT_MAX: usize = 64;

/// Where an API's requests go, and where they are counted.
pub(crate) struct Target {
    api: Arc<Api>,
    pub(crate) upstream: Rc<Upstream>,
    pub(crate) meter: Meter,
}

#[derive(Default)]
pub(crate) struct UpstreamRegistry {
    targets: RefCell<Vec<Rc<Target>>>,
}

impl UpstreamRegistry {
    /// The target of an API.
    pub(crate) fn target(
        &self,
        api: &Arc<Api>,
        deadlines: &Arc<Deadlines>,
    ) -> Result<Rc<Target>, Refusal> {
        let known = |target: &&Rc<Target>| Arc::ptr_eq(&target.api, api);
        if let Some(target) = self.targets.borrow().iter().find(known) {
            return Ok(target.clone());
        }
        let target = Rc::new(Target {
            api: api.clone(),
            upstream: self.upstream(api, deadlines)?,
            meter: Meter::of(api.name()),
        });
        let mut targets = self.targets.borrow_mut();
        targets.retain(|target| target.api.name() != api.name());
        if targets.len() >= KEPT_MAX {
            targets.remove(0);
        }
        targets.push(target.clone());
        Ok(target)
    }

    fn upstream(
        &self,
        api: &Arc<Api>,
        deadlines: &Arc<Deadlines>,
    ) -> Result<Rc<Upstream>, Refusal> {
        let rule = &api.spec().upstream;
        let same = |target: &&Rc<Target>| {
            target.api.name() == api.name() && target.api.spec().upstream == *rule
        };
        if let Some(target) = self.targets.borrow().iter().find(same) {
            return Ok(target.upstream.clone());
        }
        let upstream = Upstream::new(rule, deadlines.clone()).map_err(|error| {
            tracing::error!(api = api.name(), %error, "the upstream's certificates cannot be read");
            Refusal::new(Reason::UpstreamUnreachable)
        })?;
        Ok(Rc::new(upstream))
    }
}
