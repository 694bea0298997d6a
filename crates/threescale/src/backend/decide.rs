//! Whether a call may pass.
//!
//! # How
//! [`prepare`] looks up whom the call is about and tries every rule that needs no counter. What comes of
//! it says which counters it needs, and [`Prepared::decide`] takes them and gives the [`Decision`]. So
//! whoever holds the counters can decide and count in one transaction, and nobody reads a counter for a
//! call that fails before.
//!
//! The order is the reference's, because the first rule that fails is the answer: provider, application,
//! key, (OAuth: setting, key, redirect), referrer, state of the application, state of the service, amounts,
//! limits. One thing is early where the answer has no body: whether the metrics exist.
//!
//! # What this protects
//! What an answer shows, what its headers promise and what is counted are the same amounts. A limit denies when
//! it would be exceeded; reaching it is in order.

use keystile_core::time::Timestamp;

use super::access;
use super::call::{Call, Operation, Redirect};
use super::catalog::{
    Application, BackendVersion, Directory, ReferrerFilters, Service, State, UsageLimit,
};
use super::error::{Rejection, RequestError, unless_blank};
use super::options::Options;
use super::period::Window;
use super::referrer;
use super::usage::{self, Amount, Usage};

/// A call that passed all rules but the limits, or failed one of them.
#[derive(Clone, Debug)]
pub struct Prepared<'c> {
    service: &'c Service,
    application: &'c Application,
    operation: Operation,
    redirect_field: &'static str,
    rejection: Option<Rejection>,
    usage: Option<Usage>,
    needs: Needs,
    response_code: Option<u16>,
}

/// Which limits matter to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needs {
    /// Those of the plan.
    All,
    /// Those that its usage reaches.
    Reached,
    /// None: it failed already, and its answer has no body.
    Nothing,
}

/// The answer to a call, before it is written.
#[derive(Clone, Debug)]
pub struct Decision<'c> {
    /// The service that was called.
    pub service: &'c Service,
    /// The application that called it.
    pub application: &'c Application,
    /// What was asked.
    pub operation: Operation,
    /// Why the answer is "no"; `None` is "yes".
    pub rejection: Option<Rejection>,
    /// How the limits stand that the answer tells of.
    pub reports: Vec<UsageReport<'c>>,
    /// When it was decided.
    pub at: Timestamp,
    /// What OAuth's address is called in the body.
    pub(super) redirect_field: &'static str,
    usage: Option<Usage>,
    response_code: Option<u16>,
}

/// How a limit stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageReport<'c> {
    /// The limit.
    pub limit: UsageLimit,
    /// The name of its metric.
    pub metric: &'c str,
    /// The present window.
    pub window: Window,
    /// What the counter holds, without this call.
    pub stored: u64,
    /// What callers are shown: with this call, where it is counted.
    pub current: u64,
    /// What the call uses of the metric; `None` where it does not name it nor one below it.
    pub amount: Option<Amount>,
}

impl UsageReport<'_> {
    /// Whether more is used than allowed, apart from this call.
    pub const fn is_exceeded(&self) -> bool {
        self.stored > self.limit.max
    }
}

/// Looks up whom a call is about, and tries the rules that need no counter.
///
/// Fails when the call has no answer: see [`RequestError`].
pub fn prepare<'c>(
    directory: &'c impl Directory,
    call: &Call<'_>,
    options: Options,
) -> Result<Prepared<'c>, RequestError> {
    let access = access::authenticate(directory, &call.provider)?;
    if let Some(fault) = &call.fault {
        return Err(fault.clone());
    }
    let service = access::service(directory, &access, call.provider.service_id)?;
    let application = access::application(directory, service, call)?;
    if let (true, Some(usage)) = (options.no_body, call.usage) {
        for (name, _) in usage.iter() {
            usage::metric(name, &service.metrics)?;
        }
    }
    let mut redirect_field = "redirect_url";
    let rejection = check_key(directory, service, application, call)
        .and_then(|()| check_redirect(application, call, &mut redirect_field))
        .and_then(|()| check_referrer(service, application, call))
        .and_then(|()| check_states(service, application))
        .err();
    let usage = match call.usage {
        Some(named) if rejection.is_none() => {
            let named = Usage::named(named, &service.metrics)?;
            let is_flat = options.flat_usage;
            Some(if is_flat { named } else { named.with_ancestors(&service.metrics) })
        }
        _ => None,
    };
    let needs = match (options.no_body, &rejection, &usage) {
        (false, _, _) | (true, None, None) => Needs::All,
        (true, None, Some(_)) => Needs::Reached,
        (true, Some(_), _) => Needs::Nothing,
    };
    Ok(Prepared {
        service,
        application,
        operation: call.operation,
        redirect_field,
        rejection,
        usage,
        needs,
        response_code: call.response_code,
    })
}

fn check_key(
    directory: &impl Directory,
    service: &Service,
    application: &Application,
    call: &Call<'_>,
) -> Result<(), Rejection> {
    if call.operation.is_oauth() && service.backend_version != BackendVersion::Oauth {
        return Err(Rejection::OauthNotEnabled);
    }
    let is_one = |key| directory.is_app_key(service, application, key);
    let is_in_order = match (service.backend_version, call.app_key) {
        (BackendVersion::One, _) | (BackendVersion::Oauth, None) => true,
        (BackendVersion::Oauth, Some(key)) => !key.is_empty() && is_one(key),
        (BackendVersion::Two, _) if application.keys.is_empty() => true,
        (BackendVersion::Two, key) => key.is_some_and(is_one),
    };
    let key = || call.app_key.and_then(unless_blank);
    if is_in_order { Ok(()) } else { Err(Rejection::ApplicationKeyInvalid(key())) }
}

fn check_redirect(
    application: &Application,
    call: &Call<'_>,
    field: &mut &'static str,
) -> Result<(), Rejection> {
    if !call.operation.is_oauth() {
        return Ok(());
    }
    let (address, rejection): (_, fn(String) -> Rejection) = match call.redirect {
        None => return Ok(()),
        Some(Redirect::Url(url)) => (url, Rejection::RedirectUrlInvalid),
        Some(Redirect::Uri(uri)) => {
            *field = "redirect_uri";
            (uri, Rejection::RedirectUriInvalid)
        }
    };
    let is_in_order = address.is_empty() || application.redirect_url.as_deref() == Some(address);
    if is_in_order { Ok(()) } else { Err(rejection(address.to_owned())) }
}

fn check_referrer(
    service: &Service,
    application: &Application,
    call: &Call<'_>,
) -> Result<(), Rejection> {
    let filters = &application.referrer_filters;
    let is_allowed = service.referrer_filters == ReferrerFilters::Ignored
        || filters.is_empty()
        || call.referrer.is_some_and(|referrer| {
            filters.iter().any(|filter| referrer::allows(filter, referrer))
        });
    let referrer = || call.referrer.and_then(unless_blank);
    if is_allowed { Ok(()) } else { Err(Rejection::ReferrerNotAllowed(referrer())) }
}

const fn check_states(service: &Service, application: &Application) -> Result<(), Rejection> {
    match (application.state, service.state) {
        (State::Suspended, _) => Err(Rejection::ApplicationNotActive),
        (State::Active, State::Suspended) => Err(Rejection::ServiceNotActive),
        (State::Active, State::Active) => Ok(()),
    }
}

impl<'c> Prepared<'c> {
    /// The service that is called.
    pub const fn service(&self) -> &'c Service {
        self.service
    }

    /// The application that calls it.
    pub const fn application(&self) -> &'c Application {
        self.application
    }

    /// The limits whose counters the decision needs.
    pub fn limits(&self) -> impl Iterator<Item = &'c UsageLimit> {
        self.application.plan.limits().iter().filter(|limit| match self.needs {
            Needs::All => true,
            Needs::Reached => self.amount(limit).is_some(),
            Needs::Nothing => false,
        })
    }

    /// Decides, by what the counters of [`Self::limits`] hold in the windows around `now`.
    ///
    /// The caller counts [`Decision::counted`] in the transaction in which it read them.
    pub fn decide(
        self,
        now: Timestamp,
        mut current: impl FnMut(&UsageLimit, Window) -> u64,
    ) -> Decision<'c> {
        let mut reports = self
            .limits()
            .map(|limit| {
                let window = limit.period.window(now);
                let stored = current(limit, window);
                UsageReport {
                    limit: *limit,
                    metric: &self.service.metrics.metric(limit.metric).name,
                    window,
                    stored,
                    current: stored,
                    amount: self.amount(limit),
                }
            })
            .collect::<Vec<_>>();
        let denies = |report: &UsageReport<'_>| match (&self.usage, report.amount) {
            (None, _) => report.is_exceeded(),
            (Some(_), None) => false,
            (Some(_), Some(amount)) => amount.after(report.stored) > report.limit.max,
        };
        let is_spent = || reports.iter().any(denies).then_some(Rejection::LimitsExceeded);
        let rejection = self.rejection.clone().or_else(is_spent);
        if rejection.is_none() && self.operation.counts() {
            for report in &mut reports {
                report.current =
                    report.amount.map_or(report.stored, |more| more.after(report.stored));
            }
        }
        Decision {
            service: self.service,
            application: self.application,
            operation: self.operation,
            rejection,
            reports,
            at: now,
            redirect_field: self.redirect_field,
            usage: self.usage,
            response_code: self.response_code,
        }
    }

    fn amount(&self, limit: &UsageLimit) -> Option<Amount> {
        self.usage.as_ref()?.amount(limit.metric)
    }
}

impl Decision<'_> {
    /// Turns "yes" into "no": nothing of the call is counted, so nothing of it is shown.
    pub fn refuse(&mut self, rejection: Rejection) {
        self.rejection = Some(rejection);
        for report in &mut self.reports {
            report.current = report.stored;
        }
    }

    /// What the call changes: amounts of its metrics and all above, in every window around [`Self::at`]. `None`
    /// where it changes nothing: it may not pass, it only asks, or it uses nothing.
    pub fn counted(&self) -> Option<&Usage> {
        let is_counted = self.rejection.is_none() && self.operation.counts();
        self.usage.as_ref().filter(|usage| is_counted && !usage.is_nothing())
    }

    /// The status of the called API, which is counted with usage only.
    pub fn counted_response_code(&self) -> Option<u16> {
        self.counted().and(self.response_code)
    }

    /// The reports that the limit headers speak of: those of what is used, or all where nothing is.
    pub(super) fn reached(&self) -> impl Iterator<Item = &UsageReport<'_>> {
        let is_reached =
            |report: &&UsageReport<'_>| self.usage.is_none() || report.amount.is_some();
        self.reports.iter().filter(is_reached)
    }
}
