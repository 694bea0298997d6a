//! Writes of applications, in the budgets and the journal of Keystile.

use std::net::IpAddr;
use std::sync::Arc;

use keystile_core::keys::hash::KeyHash;
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;
use keystile_engine::Reservation;
use keystile_engine::admission::relayed::RelayedWrite;
use keystile_store::key_cache::KeyEntry;

use super::catalog::ApplicationEntry;
use super::decide::Question;
use super::state::{Account, WriteRule};
use crate::backend::call::Call;
use crate::backend::decide::{Prepared, prepare};
use crate::backend::metrics::MetricIndex;
use crate::backend::options::Options;
use crate::backend::query::Query;
use crate::backend::usage::Usage;

/// Writes of one call.
pub(super) struct Write {
    key: Arc<KeyEntry>,
    metric: String,
    cost: u32,
}

impl Account {
    /// The writes of a call that its limits would let pass. `None` where it has none, or where no key of its
    /// application is known at the gate: then there is no plan whose budgets could count it.
    pub(super) fn written(&self, question: Question<'_>) -> Option<Write> {
        let rule = self.writes.as_ref()?;
        let query = Query::parse(question.query).ok()?;
        let call = Call::read(question.operation, &query).ok()?;
        let options = Options::read(question.options, query.params().ok()?).ok()?;
        let now = self.now();
        let catalog = self.catalog();
        let view = self.view(&catalog, now);
        let prepared = prepare(&view, &call, options).ok()?;
        let (metric, cost) = writes_of(&prepared, &call, (rule, options))?;
        let service = catalog.service(&prepared.service().id)?;
        let entry = service.application(&prepared.application().id)?;
        let shown = self.shown(&call, &entry.record.id);
        let shown = shown.iter().filter(|hash| entry.gate_keys().any(|known| known == *hash));
        let keys = shown.chain(entry.gate_keys());
        let key = keys.into_iter().find_map(|hash| self.store.keys().find(hash))?;
        let counters = entry.counters();
        let metrics = &service.service().metrics;
        let decision = prepared.decide(now, |limit, window| {
            counters.value(&metrics.metric(limit.metric).id, limit.period, window)
        });
        decision.rejection.is_none().then_some(Write { key, metric, cost })
    }

    /// What the gate would know of the credentials that a call shows, the whole of a pair first.
    fn shown(&self, call: &Call<'_>, application: &str) -> Vec<KeyHash> {
        let pair = call.app_key.map(|key| self.app_key(application, key));
        let user_key = call.user_key.map(|key| self.key(key));
        let both = pair.into_iter().flat_map(|known| known.pair.into_iter().chain([known.key]));
        both.chain(user_key).map(|key| key.0).collect()
    }

    /// Takes note that a key called, where it is one here: owners see which keys are in use.
    pub(super) fn note_call(&self, call: &Call<'_>, entry: &ApplicationEntry, now: Timestamp) {
        // By its user key an application was found, so there is nothing to hash again.
        let shown = match (call.user_key, call.app_key) {
            (Some(_), _) => entry.gate_keys().next().copied(),
            (None, Some(key)) => self.app_key(&entry.record.id, key).pair.map(|pair| pair.0),
            (None, None) => None,
        };
        if let Some(key) = shown.and_then(|hash| self.store.keys().find(&hash)) {
            key.note_call(now);
        }
    }

    /// Takes writes from the budgets of their key.
    pub(super) async fn reserve(
        &self,
        write: Write,
        address: IpAddr,
    ) -> Result<Option<Reservation>, Reason> {
        let Some(rule) = &self.writes else { return Ok(None) };
        let Write { key, metric, cost } = write;
        let relayed = RelayedWrite { api: &rule.api, key, operation: &metric, cost, address };
        self.engine.reserve_relayed(relayed).await
    }
}

/// What a call writes: the first metric that is one, and how many writes all of them are.
///
/// What is used of a metric is used of all above it, so a metric below a write is one as well: of the nearest that
/// is named. Each amount counts once, however many writes stand above it; one that is set counts as what it says.
fn writes_of(
    prepared: &Prepared<'_>,
    call: &Call<'_>,
    (rule, options): (&WriteRule, Options),
) -> Option<(String, u32)> {
    let metrics = &prepared.service().metrics;
    let is_write = |index: &MetricIndex| {
        let name = &metrics.metric(*index).name;
        rule.metrics.iter().any(|known| **known == **name)
    };
    let nearest = |index| {
        let above = metrics.ancestors(index).filter(|_| !options.flat_usage);
        std::iter::once(index).chain(above).find(is_write)
    };
    let named = Usage::named(call.usage?, metrics).ok()?;
    let mut writes =
        named.iter().filter(|(_, amount)| amount.value() > 0).filter_map(|(index, amount)| {
            Some((&metrics.metric(nearest(index)?).name, amount.value()))
        });
    let (metric, first) = writes.next()?;
    let cost = writes.fold(first, |sum, (_, more)| sum.saturating_add(more));
    Some((metric.to_string(), u32::try_from(cost).unwrap_or(u32::MAX)))
}
