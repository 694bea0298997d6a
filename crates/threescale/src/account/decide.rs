//! Deciding on a call, and counting it, in one step.

use std::net::IpAddr;
use std::pin::Pin;

use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;
use keystile_store::error::Result as StoreResult;

use super::catalog::{ApplicationEntry, Catalog, ServiceEntry};
use super::counters::{Changes, FirstTraffic};
use super::event::{Event, EventKind, ReportError};
use super::state::Account;
use crate::backend::alerts::{Threshold, Thresholds};
use crate::backend::answer::Answer;
use crate::backend::call::{Call, Operation};
use crate::backend::catalog::{Application, Service};
use crate::backend::decide::{Decision, UsageReport, prepare};
use crate::backend::error::{Rejection, RequestError};
use crate::backend::metrics::MetricIndex;
use crate::backend::options::Options;
use crate::backend::params::Params;
use crate::backend::period::Period;
use crate::backend::query::Query;
use crate::backend::report::{Form, Hierarchy, Report, Transaction};
use crate::backend::usage::Usage;

/// A call that asks whether it may pass.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Which question.
    pub operation: Operation,
    /// What follows the `?`.
    pub query: &'a [u8],
    /// The header `3scale-options`.
    pub options: Option<&'a [u8]>,
}

/// Whether what a call uses is counted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counting {
    Yes,
    /// It is, and its writes were reserved: a lock that came since is for the next call.
    Reserved,
    No,
}

/// A call that was decided.
struct Decided {
    answer: Answer,
    counted: Option<PendingCount>,
    /// Whether it gave rise to an event.
    is_noted: bool,
}

/// A count that is on its way to the disk.
type Committing = Pin<Box<dyn Future<Output = StoreResult<()>> + Send>>;

/// The store cannot make a count durable, so the call has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("usage cannot be recorded now")]
pub struct NotRecorded;

/// What was counted of a call, and has to be taken back where it cannot be made durable.
struct PendingCount {
    service: Box<str>,
    application: Box<str>,
    usage: Usage,
    at: Timestamp,
    committing: Committing,
}

impl Account {
    /// Answers an authorization that came from an address.
    ///
    /// # Errors
    /// When what it uses has to be durable and cannot be.
    pub async fn authorize(
        &self,
        question: Question<'_>,
        address: IpAddr,
    ) -> Result<Answer, NotRecorded> {
        let written = if question.operation.counts() { self.written(question) } else { None };
        let reserved = match written {
            None => None,
            Some(write) => match self.reserve(write, address).await {
                Ok(reserved) => reserved,
                Err(Reason::StoreUnavailable) => return Err(NotRecorded),
                Err(reason) => return Ok(self.refuse(question, rejection_of(reason))),
            },
        };
        let counting = if reserved.is_some() { Counting::Reserved } else { Counting::Yes };
        let decided = match self.decide(question, counting, None) {
            Ok(decided) => decided,
            Err((error, options)) => return Ok(Answer::of_error(&error, options)),
        };
        let Decided { answer, counted, is_noted } = decided;
        self.commit(counted.into_iter().collect()).await?;
        if is_noted {
            self.save_told().await;
        }
        if answer.status == 200
            && let Some(reserved) = reserved
        {
            reserved.hand_over(&self.engine);
        }
        Ok(answer)
    }

    /// The answer to a call that a budget or a lock of Keystile's refuses.
    fn refuse(&self, question: Question<'_>, rejection: Rejection) -> Answer {
        match self.decide(question, Counting::No, Some(rejection)) {
            Ok(decided) => decided.answer,
            Err((error, options)) => Answer::of_error(&error, options),
        }
    }

    fn decide(
        &self,
        question: Question<'_>,
        counting: Counting,
        refused: Option<Rejection>,
    ) -> Result<Decided, (RequestError, Options)> {
        let Question { operation, query, options } = question;
        // Whether there is a body is to be known also where the parameters cannot be read.
        let none = Options::default();
        let by_header = Options::read(options, &Params::default()).unwrap_or_default();
        let query = Query::parse(query).map_err(|error| (error, by_header))?;
        let call = Call::read(operation, &query).map_err(|error| (error, by_header))?;
        let params = query.params().map_err(|error| (error, by_header))?;
        let options = Options::read(options, params).map_err(|error| (error, none))?;
        let now = self.now();
        let catalog = self.catalog();
        let mut view = self.view(&catalog, now);
        if counting == Counting::Reserved {
            view.keys = None;
        }
        let prepared = prepare(&view, &call, options).map_err(|error| (error, options))?;
        let (service, entry) = entries(&catalog, prepared.service(), prepared.application());
        self.note_call(&call, entry, now);
        let metrics = &service.service().metrics;
        let mut counters = entry.counters();
        let mut decision = prepared.decide(now, |limit, window| {
            counters.value(&metrics.metric(limit.metric).id, limit.period, window)
        });
        if decision.rejection.is_none()
            && let Some(rejection) = refused
        {
            decision.refuse(rejection);
        }
        let answer = Answer::of_decision(&decision, options);
        let Some(usage) = decision.counted().filter(|_| counting != Counting::No) else {
            return Ok(Decided { answer, counted: None, is_noted: false });
        };
        let is_limited = |metric, period| is_limited(entry, metric, period);
        let changes = counters.count(&entry.owner, usage, metrics, (now, now), is_limited);
        let first = changes.first;
        let counted = (!changes.durable.is_empty()).then(|| PendingCount {
            service: service.record.id.as_str().into(),
            application: entry.record.id.as_str().into(),
            usage: usage.clone(),
            at: now,
            // Under the counters' lock, so that values reach the store in their order.
            committing: self.begin_commit(changes),
        });
        drop(counters);
        self.note_traffic(entry, first, now);
        let alerts = self.note_alerts(entry, service.thresholds(), &decision);
        Ok(Decided { answer, counted, is_noted: alerts > 0 || first.today || first.ever })
    }

    /// Takes a report: `form` is its body and the type of that, whose parameters hold before those of `query`.
    ///
    /// The answer is an error, or that it was taken; what is wrong with its transactions is listed as an error
    /// of the service.
    ///
    /// # Errors
    /// When what it uses has to be durable and cannot be.
    pub async fn report(
        &self,
        query: &[u8],
        form: (&str, &[u8]),
        options: Option<&[u8]>,
    ) -> Result<Result<(), Answer>, NotRecorded> {
        match self.count_report(query, form, options) {
            Ok(counted) => {
                self.commit(counted).await?;
                self.save_told().await;
                Ok(Ok(()))
            }
            Err((error, options)) => Ok(Err(Answer::of_error(&error, options))),
        }
    }

    fn count_report(
        &self,
        query: &[u8],
        (content_type, form): (&str, &[u8]),
        options: Option<&[u8]>,
    ) -> Result<Vec<PendingCount>, (RequestError, Options)> {
        let none = Options::default();
        let query = Query::parse(query).map_err(|error| (error, none))?;
        let form = match Form::of_content_type(Some(content_type)) {
            Ok(Form::UrlEncoded) => Query::parse(form),
            Ok(Form::Multipart) => Query::parse_multipart(content_type, form),
            Err(error) => Err(error),
        };
        let form = form.map_err(|error| (error, none))?;
        let query = query.with_form(form);
        let now = self.now();
        let catalog = self.catalog();
        let view = self.view(&catalog, now);
        let report = Report::read(&view, &query).map_err(|error| (error, none))?;
        let params = query.params().map_err(|error| (error, none))?;
        let options = Options::read(options, params).map_err(|error| (error, none))?;
        let hierarchy = if options.flat_usage { Hierarchy::Flat } else { Hierarchy::Add };
        let transactions = match report.transactions(&view, hierarchy, now) {
            Ok(transactions) => transactions,
            Err(error) => {
                self.errors.add(ReportError {
                    service_id: report.service().id.to_string(),
                    code: error.code().to_owned(),
                    message: error.to_string(),
                    time: now,
                });
                return Ok(Vec::new());
            }
        };
        let counted = transactions
            .iter()
            .filter_map(|one| self.count_transaction(&catalog, report.service(), one, now));
        Ok(counted.collect())
    }

    fn count_transaction(
        &self,
        catalog: &Catalog,
        service: &Service,
        transaction: &Transaction<'_>,
        now: Timestamp,
    ) -> Option<PendingCount> {
        let (service, entry) = entries(catalog, service, transaction.application);
        let Transaction { at, usage, .. } = transaction;
        let is_limited = |metric, period| is_limited(entry, metric, period);
        let metrics = &service.service().metrics;
        let mut counters = entry.counters();
        let changes = counters.count(&entry.owner, usage, metrics, (*at, now), is_limited);
        let first = changes.first;
        let counted = (!changes.durable.is_empty()).then(|| PendingCount {
            service: service.record.id.as_str().into(),
            application: entry.record.id.as_str().into(),
            usage: usage.clone(),
            at: *at,
            committing: self.begin_commit(changes),
        });
        drop(counters);
        self.note_traffic(entry, first, now);
        counted
    }

    /// Hands what has to be durable to the store, before this returns.
    fn begin_commit(&self, changes: Changes) -> Committing {
        fn boxed(
            begun: StoreResult<impl Future<Output = StoreResult<()>> + Send + 'static>,
        ) -> Committing {
            match begun {
                Ok(committing) => Box::pin(committing),
                Err(error) => Box::pin(std::future::ready(Err(error))),
            }
        }
        if changes.replaces {
            boxed(self.store.begin_set_meters(changes.durable))
        } else {
            boxed(self.store.begin_put_meters(changes.durable))
        }
    }

    /// Waits until counts are durable.
    async fn commit(&self, counted: Vec<PendingCount>) -> Result<(), NotRecorded> {
        let mut result = Ok(());
        for one in counted {
            let PendingCount { service, application, usage, at, committing } = one;
            if let Err(error) = committing.await {
                tracing::warn!(%error, service = %service, "usage could not be recorded");
                result = Err(NotRecorded);
                let catalog = self.catalog();
                let found = catalog.service(&service);
                if let Some((service, entry)) =
                    found.and_then(|service| Some((service, service.application(&application)?)))
                {
                    entry.counters().take_back(&usage, &service.service().metrics, at);
                }
            }
        }
        result
    }

    fn note_traffic(&self, entry: &ApplicationEntry, first: FirstTraffic, now: Timestamp) {
        if first.ever {
            self.events.add(event(entry, EventKind::FirstTraffic, now));
        }
        if first.today {
            self.events.add(event(entry, EventKind::FirstDailyTraffic, now));
        }
    }

    /// Says how many there are.
    fn note_alerts(
        &self,
        entry: &ApplicationEntry,
        thresholds: Thresholds,
        decision: &Decision<'_>,
    ) -> usize {
        let mut alerts = 0_usize;
        for report in &decision.reports {
            let UsageReport { limit, metric, stored, current, .. } = report;
            let before = thresholds.alert(*stored, limit.max, None);
            let Some(reached) = thresholds.alert(*current, limit.max, before) else { continue };
            let kind = EventKind::Alert {
                utilization: Threshold::percent(reached),
                limit: format!("{metric} per {}: {current}/{}", limit.period, limit.max),
                percent: percent(*current, limit.max),
            };
            self.events.add(event(entry, kind, decision.at));
            alerts = alerts.saturating_add(1);
        }
        alerts
    }
}

/// What a refusal of Keystile's is in 3scale's words: a lock makes an application inactive, all else is a limit.
fn rejection_of(reason: Reason) -> Rejection {
    match reason {
        Reason::KeyLocked | Reason::KeyRevoked | Reason::ApplicationSuspended => {
            Rejection::ApplicationNotActive
        }
        _ => Rejection::LimitsExceeded,
    }
}

fn percent(current: u64, max: u64) -> u64 {
    let percent = u128::from(current).saturating_mul(100).checked_div(u128::from(max));
    percent.and_then(|percent| u64::try_from(percent).ok()).unwrap_or(0)
}

fn event(entry: &ApplicationEntry, kind: EventKind, time: Timestamp) -> Event {
    let record = &entry.record;
    let (service_id, application_id) = (record.service_id.clone(), record.id.clone());
    Event { kind, service_id, application_id, time }
}

fn is_limited(entry: &ApplicationEntry, metric: MetricIndex, period: Period) -> bool {
    let mut limits = entry.application().plan.limits().iter();
    limits.any(|limit| limit.metric == metric && limit.period == period)
}

/// What a call found, in the catalog that it is held against.
fn entries<'c>(
    catalog: &'c Catalog,
    service: &Service,
    application: &Application,
) -> (&'c ServiceEntry, &'c ApplicationEntry) {
    let service = catalog.service(&service.id).expect("it was found in this catalog");
    let application = service.application(&application.id).expect("it was found in this service");
    (service, application)
}
