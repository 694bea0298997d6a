//! Reports of calls that have already passed: `POST /transactions.xml`.
//!
//! # How
//! [`Report::read`] finds what is answered at once: who reports, and whether the form is one. Its answer is
//! 202 whatever the transactions say. [`Report::transactions`] then looks at them, and an error there is for
//! the list of the service's integration errors. One transaction in error voids all of its report.
//!
//! Limits and states do not matter here: the calls are made.

use std::fmt;

use keystile_core::time::Timestamp;

use super::access::{self, Access};
use super::call::{Provider, response_code};
use super::catalog::{Application, Directory, Service};
use super::error::RequestError;
use super::params::{Params, Value};
use super::query::Query;
use super::timestamp;
use super::usage::{Usage, stripped};

/// How long ago a transaction may have happened, in seconds: a day.
pub const AGE_SECS_MAX: u32 = 24 * 60 * 60;

/// How far in the future it may lie, in seconds, for clocks that differ: an hour.
pub const LEAD_SECS_MAX: u32 = 60 * 60;

/// In what form a report came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Form {
    /// `application/x-www-form-urlencoded`, or nothing said.
    UrlEncoded,
    /// `multipart/form-data`.
    Multipart,
}

impl Form {
    /// Reads the header `Content-Type`. Fails when it is no form's.
    pub fn of_content_type(header: Option<&str>) -> Result<Self, RequestError> {
        let media_type = header.unwrap_or_default().split([';', ',']).next().unwrap_or_default();
        let media_type = media_type.trim().to_ascii_lowercase();
        match media_type.as_str() {
            "" | "application/x-www-form-urlencoded" => Ok(Self::UrlEncoded),
            "multipart/form-data" => Ok(Self::Multipart),
            _ => Err(RequestError::ContentTypeInvalid(media_type)),
        }
    }
}

/// A report whose form is in order.
#[derive(Clone, Debug)]
pub struct Report<'c, 'p> {
    service: &'c Service,
    entries: Vec<Entry<'p>>,
}

/// A transaction as it was sent.
#[derive(Clone, Copy)]
struct Entry<'p> {
    app_id: Option<&'p str>,
    user_key: Option<&'p str>,
    usage: Option<&'p Params<'p>>,
    timestamp: Option<&'p str>,
    response_code: Option<u16>,
}

/// A transaction to be counted.
#[derive(Clone, Debug)]
pub struct Transaction<'c> {
    /// Whose call it was.
    pub application: &'c Application,
    /// When it was: its usage counts in the windows around this time.
    pub at: Timestamp,
    /// Amounts of its metrics and, unless the caller added them, of all above.
    pub usage: Usage,
    /// What the called API answered.
    pub response_code: Option<u16>,
}

/// Whether a caller's amounts already are those of the metrics above, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hierarchy {
    /// They are not: they are added up here.
    Add,
    /// They are: the option `flat_usage`.
    Flat,
}

impl<'c, 'p> Report<'c, 'p> {
    /// Looks at who reports, and at the form of the transactions.
    ///
    /// Fails, in this order, when the provider shows nothing that is known, when a text is not UTF-8, when the
    /// transactions are not an indexed hash of hashes, and when the service is not the provider's.
    pub fn read(directory: &'c impl Directory, query: &'p Query<'p>) -> Result<Self, RequestError> {
        let provider = Provider::read(query.params_with_replacements());
        let access: Access<'c, '_> = access::authenticate(directory, &provider)?;
        let entries = entries(query.params()?)?;
        let service = access::service(directory, &access, provider.service_id)?;
        Ok(Self { service, entries })
    }

    /// The service that it is about.
    pub const fn service(&self) -> &'c Service {
        self.service
    }

    /// The transactions that change a counter.
    ///
    /// Fails on the first that is in error, and then nothing of the report counts: first applications are
    /// looked up, then metrics and amounts, then times.
    pub fn transactions(
        &self,
        directory: &'c impl Directory,
        hierarchy: Hierarchy,
        now: Timestamp,
    ) -> Result<Vec<Transaction<'c>>, RequestError> {
        let applications = self.entries.iter().map(|entry| {
            access::reported_application(directory, self.service, entry.app_id, entry.user_key)
        });
        let applications = applications.collect::<Result<Vec<_>, _>>()?;
        let metrics = &self.service.metrics;
        let mut transactions = Vec::with_capacity(self.entries.len());
        for (entry, application) in self.entries.iter().zip(applications) {
            let Some(usage) = entry.usage else { continue };
            let usage = Usage::named_without_zeros(usage, metrics)?;
            let usage = match hierarchy {
                Hierarchy::Add => usage.with_ancestors(metrics),
                Hierarchy::Flat => usage,
            };
            // What is no time is the present, as in the reference.
            let at = entry.timestamp.and_then(timestamp::parse).unwrap_or(now);
            let response_code = entry.response_code;
            transactions.push(Transaction { application, at, usage, response_code });
        }
        for transaction in &transactions {
            check_time(transaction.at, now)?;
        }
        Ok(transactions)
    }
}

/// Fails when a time lies too far from the present, counted in whole seconds.
fn check_time(at: Timestamp, now: Timestamp) -> Result<(), RequestError> {
    let lead_secs = at.0.div_euclid(1000).saturating_sub(now.0.div_euclid(1000));
    if lead_secs < i64::from(AGE_SECS_MAX).saturating_neg() {
        Err(RequestError::TransactionTimestampTooOld { secs_max: AGE_SECS_MAX })
    } else if lead_secs > i64::from(LEAD_SECS_MAX) {
        Err(RequestError::TransactionTimestampTooNew { secs_max: LEAD_SECS_MAX })
    } else {
        Ok(())
    }
}

/// The transactions that may change a counter: not those that use nothing but `0`.
fn entries<'p>(params: &'p Params<'p>) -> Result<Vec<Entry<'p>>, RequestError> {
    let transactions = match params.get("transactions") {
        None | Some(Value::Null) => return Err(RequestError::TransactionsIsBlank),
        Some(Value::Text(text)) if text.is_empty() => {
            return Err(RequestError::TransactionsIsBlank);
        }
        Some(Value::Text(_) | Value::List(_)) => {
            return Err(RequestError::TransactionsFormatInvalid);
        }
        Some(Value::Hash(transactions)) => transactions,
    };
    let mut values = transactions.iter().map(|(_, value)| value);
    if values.any(|value| *value == Value::Null) {
        return Err(RequestError::TransactionsHasNilTransaction);
    }
    let has_user_id = |value: &Value<'_>| {
        let user_id = value.hash().and_then(|transaction| transaction.get("user_id"));
        user_id.is_some_and(|user_id| *user_id != Value::Null)
    };
    if transactions.iter().any(|(_, value)| has_user_id(value)) {
        return Err(RequestError::EndUsersNoLongerSupported);
    }
    let mut entries = Vec::with_capacity(transactions.len());
    for (_, value) in transactions.iter() {
        // The reference fails with 500 on what is no hash here.
        let transaction = value.hash().ok_or(RequestError::TransactionsFormatInvalid)?;
        let usage = match transaction.get("usage") {
            None | Some(Value::Null) => None,
            Some(Value::Hash(usage)) => Some(usage),
            Some(Value::Text(_) | Value::List(_)) => {
                return Err(RequestError::TransactionsFormatInvalid);
            }
        };
        let is_zero = |usage: &Params<'_>| usage.iter().all(|(_, value)| value.text() == Some("0"));
        if usage.is_some_and(is_zero) {
            continue;
        }
        let text = |name| transaction.text(name).map(stripped).filter(|text| !text.is_empty());
        entries.push(Entry {
            app_id: text("app_id"),
            user_key: text("user_key"),
            usage,
            timestamp: text("timestamp"),
            response_code: response_code(transaction),
        });
    }
    Ok(entries)
}

/// Without the user key.
impl fmt::Debug for Entry<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("app_id", &self.app_id)
            .field("usage", &self.usage)
            .field("timestamp", &self.timestamp)
            .finish_non_exhaustive()
    }
}
