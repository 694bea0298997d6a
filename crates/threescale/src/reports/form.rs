//! A report as the form that is sent.

use std::collections::BTreeMap;

use keystile_core::time::Timestamp;
use url::form_urlencoded::Serializer;

use crate::portal::records::{Credential, ServiceId};
use crate::portal::token::Token;

/// The most transactions of a report.
const TRANSACTIONS_MAX: usize = 1_000;
/// The most parameters of a form: the backend reads 4,096, and two name the service.
const PARAMETERS_MAX: usize = 4_000;

/// What a transaction names its application by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reference {
    /// Where the service goes by user keys.
    UserKey(Credential),
    AppId(String),
}

/// What an application used.
#[derive(Clone, Debug)]
pub(crate) struct Transaction<'a> {
    pub(crate) application: &'a Reference,
    pub(crate) at: Timestamp,
    /// Calls by metric.
    pub(crate) usage: &'a BTreeMap<String, u64>,
}

/// Whether a report with so many transactions, which name so many metrics in all, can be sent.
pub(crate) const fn fits(transactions: usize, metrics: usize) -> bool {
    transactions <= TRANSACTIONS_MAX
        && transactions.saturating_mul(2).saturating_add(metrics) <= PARAMETERS_MAX
}

/// The form of a report; without transactions it changes nothing there.
pub(super) fn form(token: &Token, service: ServiceId, transactions: &[Transaction<'_>]) -> String {
    let mut form = Serializer::new(String::new());
    form.append_pair("service_token", token.reveal());
    form.append_pair("service_id", &service.to_string());
    for (number, transaction) in transactions.iter().enumerate() {
        let Transaction { application, at, usage } = transaction;
        let name = |rest: &str| format!("transactions[{number}]{rest}");
        match application {
            Reference::UserKey(key) => form.append_pair(&name("[user_key]"), key.reveal()),
            Reference::AppId(id) => form.append_pair(&name("[app_id]"), id),
        };
        form.append_pair(&name("[timestamp]"), &timestamp(*at));
        for (metric, calls) in *usage {
            form.append_pair(&name(&format!("[usage][{metric}]")), &calls.to_string());
        }
    }
    form.finish()
}

/// As 3scale's own gateways write it: `2026-11-29 14:05:00 UTC`.
fn timestamp(at: Timestamp) -> String {
    at.readable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_reads_as_those_of_other_clients() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "s3cret").unwrap();
        let token =
            Token::read(&keystile_core::notifications::channel::SecretSource::File(path)).unwrap();
        let usage = BTreeMap::from([("hits".to_owned(), 3), ("a&b".to_owned(), 1)]);
        let (key, id) = (
            Reference::UserKey(Credential::new("k=1".to_owned())),
            Reference::AppId("x".to_owned()),
        );
        let at = Timestamp(1_271_980_765_999);
        let transactions = [
            Transaction { application: &key, at, usage: &usage },
            Transaction { application: &id, at, usage: &BTreeMap::new() },
        ];
        let form = form(&token, ServiceId::new(7), &transactions);
        let pairs: Vec<_> = url::form_urlencoded::parse(form.as_bytes())
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        assert_eq!(
            pairs,
            [
                "service_token=s3cret",
                "service_id=7",
                "transactions[0][user_key]=k=1",
                "transactions[0][timestamp]=2010-04-22 23:59:25 UTC",
                "transactions[0][usage][a&b]=1",
                "transactions[0][usage][hits]=3",
                "transactions[1][app_id]=x",
                "transactions[1][timestamp]=2010-04-22 23:59:25 UTC",
            ]
        );
    }

    #[test]
    fn a_report_stays_below_what_a_backend_reads() {
        assert!(fits(1_000, 2_000) && !fits(1_001, 1_001) && !fits(1_000, 2_001));
    }
}
