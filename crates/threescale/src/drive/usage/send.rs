//! Sending what was counted, in reports that count there once.
//!
//! # How
//! A report is kept before it is sent, as one that may count there, and gone when it was taken. It is sent again
//! only where it is proven not to count. Otherwise its calls are missing, and shown as that: also after a crash,
//! where nobody knows how far it came.
//!
//! After any failure, and at the start, the backend is asked first whether it takes reports at all, so that an
//! outage costs one report and not many.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_store::audit::EventKind;
use tokio::time::Instant;

use super::batch::{Fate, gather, sort_out};
use super::collect::is_too_old;
use super::kept::BatchChange;
use super::record::{Batch, Lost, Progress, Slot};
use super::reports::UsageReports;
use super::store::UsageStore;
use crate::drive::account::{DrivenAccount, words};
use crate::portal::error::Retry;
use crate::portal::records::ApplicationId;
use crate::reports::error::{Proof, ReportError};
use crate::reports::{self, Reference};

/// How often there is a report.
const EVERY: Duration = Duration::from_secs(2);
/// The first pause after a failure; each further one is twice as long.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest one. It is also that where somebody has to act first, such as to mend a token.
const PAUSE_MAX: Duration = Duration::from_mins(5);
/// How soon a commit is tried again that has to be made.
const AGAIN: Duration = Duration::from_secs(1);

/// What applications there are known by.
type References = BTreeMap<ApplicationId, Reference>;

/// When the next report is due, and whether the backend is known to take reports.
#[derive(Debug)]
pub(super) struct Pace {
    next: Instant,
    is_ready: bool,
    failures: u32,
}

impl Pace {
    pub(super) fn new() -> Self {
        Self { next: Instant::now(), is_ready: false, failures: 0 }
    }

    fn failed(&mut self, retry: Retry) {
        let doubled = PAUSE.saturating_mul(2_u32.saturating_pow(self.failures.min(16)));
        let pause = match retry {
            Retry::Never => PAUSE_MAX,
            Retry::Later => doubled.min(PAUSE_MAX),
            Retry::After(wished) => wished.clamp(PAUSE, PAUSE_MAX),
        };
        self.failures = self.failures.saturating_add(1);
        (self.is_ready, self.next) = (false, Instant::now() + pause);
    }
}

impl DrivenAccount {
    /// Takes a report that was on its way at a crash for one that may count there. Fails when the store does.
    pub(super) async fn recover(
        &self,
        usage: &UsageReports,
        engine: &Arc<Engine>,
    ) -> Result<(), Failure> {
        let mut usage_store = usage.store.lock().await;
        let kept = usage_store.kept(engine).await?;
        match kept.batch.clone() {
            Some(batch) if batch.progress == Progress::Sending => {
                let why = "Keystile ended while it was sent";
                self.give_up(&mut usage_store, engine, &batch, why).await
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sends a report where one is due. Fails when the store does; what 3scale refuses is kept.
    pub(super) async fn report(
        &self,
        engine: &Arc<Engine>,
        pace: &mut Pace,
    ) -> Result<(), Failure> {
        let Some(usage) = &self.usage else {
            return Ok(());
        };
        let Some(references) = usage.references().filter(|_| Instant::now() >= pace.next) else {
            return Ok(());
        };
        let is_idle = {
            let mut usage_store = usage.store.lock().await;
            let kept = usage_store.kept(engine).await?;
            kept.slots.is_empty() && kept.batch.is_none()
        };
        if is_idle {
            return Ok(());
        }
        if !pace.is_ready {
            if let Err((problem, retry)) = self.look_ahead(usage).await {
                pace.failed(retry);
                return self.note_problem(usage, engine, problem).await;
            }
            pace.is_ready = true;
        }
        let _sending = usage.sending.lock().await;
        let Some(batch) = self.begin(usage, engine, &references).await? else {
            return Ok(());
        };
        let transactions = batch.transactions.iter().filter_map(|transaction| {
            let Slot { last, calls, .. } = &transaction.slot;
            let application = references.get(&ApplicationId::new(transaction.application))?;
            Some(reports::Transaction { application, at: *last, usage: calls })
        });
        let taken = usage.client.report(&transactions.collect::<Vec<_>>()).await;
        match &taken {
            Ok(()) => (pace.failures, pace.next) = (0, Instant::now() + EVERY),
            Err(error) => pace.failed(error.retry_after()),
        }
        // Until that is kept, nobody but this knows it.
        while let Err(failure) = self.end(usage, engine, &batch, &taken).await {
            tracing::warn!(problem = %failure.message, "what came of a report is not kept yet");
            tokio::select! {
                () = tokio::time::sleep(AGAIN) => {}
                () = engine.store().writer_ended() => return Err(failure),
            }
        }
        Ok(())
    }

    /// Looks whether reports would be taken, and count. Gives why not.
    async fn look_ahead(&self, usage: &UsageReports) -> Result<(), (String, Retry)> {
        usage.client.probe().await.map_err(|error| (error.to_string(), error.retry_after()))?;
        // A report with one metric that is not there is void as a whole, and nobody is told.
        match self.client.metrics(self.settings.service).await {
            Ok(metrics) => {
                let is_there = |name: &str| metrics.iter().any(|metric| metric.system_name == name);
                let lost: Vec<_> =
                    usage.map.names().into_iter().filter(|name| !is_there(name)).collect();
                if lost.is_empty() {
                    return Ok(());
                }
                let lost = lost.join(", ");
                let problem = format!(
                    "the service has no metric or method {lost}, which `usage` names; nothing is reported \
                     until it has, because 3scale would drop whole reports"
                );
                Err((problem, Retry::Never))
            }
            Err(error) => {
                tracing::warn!(problem = %words(&error), "the metrics in 3scale could not be read");
                Ok(())
            }
        }
    }

    async fn note_problem(
        &self,
        usage: &UsageReports,
        engine: &Arc<Engine>,
        problem: String,
    ) -> Result<(), Failure> {
        tracing::warn!(source = %self.name, %problem, "usage is not reported; it waits");
        let mut usage_store = usage.store.lock().await;
        let mut draft = usage_store.kept(engine).await?.draft();
        if draft.state.problem.as_ref() == Some(&problem) {
            return Ok(());
        }
        let detail = format!("Usage is not reported, and waits: {problem}.");
        draft.state.problem = Some(problem);
        let event = self.event(EventKind::KeySourceProblem, detail);
        usage_store.commit(engine, draft, Some(event)).await
    }

    /// Makes the next report, or takes the one that did not count, and keeps that it is sent.
    async fn begin(
        &self,
        usage: &UsageReports,
        engine: &Arc<Engine>,
        references: &References,
    ) -> Result<Option<Batch>, Failure> {
        let mut usage_store = usage.store.lock().await;
        let kept = usage_store.kept(engine).await?;
        let linked = self.links(engine).await?;
        let fate = |id: ApplicationId, slot: &Slot, now| {
            let is_gone = !references.contains_key(&id) && !linked.contains_key(&id);
            if is_gone || is_too_old(slot.last, now) {
                Fate::Lost
            } else if references.contains_key(&id) {
                Fate::Reported
            } else {
                // It came over since the portal was last read.
                Fate::Waits
            }
        };
        let mut draft = kept.draft();
        let now = engine.store().now();
        let transactions = match &kept.batch {
            Some(batch) => sort_out(&mut draft, kept, batch, |id, slot| fate(id, slot, now)),
            None => gather(&mut draft, kept, |id, slot| fate(id, slot, now)),
        };
        drop(linked);
        let id = kept.batch.as_ref().map_or(kept.state.serial, |batch| batch.id);
        let batch = (!transactions.is_empty()).then_some(Batch {
            id,
            progress: Progress::Sending,
            transactions,
        });
        if batch.is_none() && draft.slots.is_empty() && kept.batch.is_none() {
            return Ok(None);
        }
        draft.batch = batch.clone().map_or(BatchChange::Ends, BatchChange::Becomes);
        usage_store.commit(engine, draft, None).await?;
        Ok(batch)
    }

    /// Keeps what came of a report. It may be repeated.
    async fn end(
        &self,
        usage: &UsageReports,
        engine: &Arc<Engine>,
        batch: &Batch,
        taken: &Result<(), ReportError>,
    ) -> Result<(), Failure> {
        let mut usage_store = usage.store.lock().await;
        let kept = usage_store.kept(engine).await?;
        let is_open = |kept: &Batch| kept.id == batch.id && kept.progress == Progress::Sending;
        if !kept.batch.as_ref().is_some_and(is_open) {
            // A commit that seemed to fail did not.
            return Ok(());
        }
        let error = match taken {
            Ok(()) => {
                let mut draft = kept.draft();
                let calls = batch.calls();
                draft.batch = BatchChange::Ends;
                draft.state.reported = draft.state.reported.saturating_add(calls);
                draft.state.last = Some(engine.store().now());
                draft.state.problem = None;
                return usage_store.commit(engine, draft, None).await;
            }
            Err(error) => error,
        };
        tracing::warn!(source = %self.name, report = batch.id, problem = %error, "a report was not taken");
        if error.proof() == Proof::Nothing {
            return self.give_up(&mut usage_store, engine, batch, &error.to_string()).await;
        }
        let mut draft = kept.draft();
        let progress = Progress::ToSend;
        draft.batch = BatchChange::Becomes(Batch { progress, ..batch.clone() });
        draft.state.problem = Some(error.to_string());
        usage_store.commit(engine, draft, None).await
    }

    /// Shows the calls of a report as missing, which may count there and so are not reported again.
    async fn give_up(
        &self,
        usage_store: &mut UsageStore,
        engine: &Arc<Engine>,
        batch: &Batch,
        why: &str,
    ) -> Result<(), Failure> {
        let mut draft = usage_store.kept(engine).await?.draft();
        draft.batch = BatchChange::Ends;
        for transaction in &batch.transactions {
            draft.state.miss_slot(&transaction.slot, Lost::Uncertain);
        }
        draft.state.problem = Some(why.to_owned());
        let detail = format!(
            "{} calls of report {} may count in 3scale or not, and are not reported again: {why}.",
            batch.calls(),
            batch.id
        );
        let event = self.event(EventKind::KeySourceProblem, detail);
        usage_store.commit(engine, draft, Some(event)).await
    }
}
