//! What is here and no longer in 3scale: it goes on calling until somebody deletes it, so it is named.

use std::collections::BTreeSet;

use keystile_core::text::printable;
use keystile_engine::keys::account::PartReport;

use super::keep::bounded;
use super::parts::IdRange;
use crate::account::Account;
use crate::account::catalog::ServiceEntry;
use crate::backend::catalog::State;

/// Names the services that an account no longer has.
pub(super) fn services(account: &Account, there: &BTreeSet<String>) -> PartReport {
    let catalog = account.catalog();
    let may_call = |entry: &&ServiceEntry| State::named(&entry.record.state) == State::Active;
    let gone = catalog.services().filter(may_call).filter(|one| !there.contains(&one.record.id));
    let said = gone.map(|entry| {
        let id = &entry.record.id;
        format!(
            "The service {id} is gone in 3scale, or the token's user may not see it, and its applications can \
             still call here; delete it with DELETE /internal/services/{id}."
        )
    });
    PartReport { problems: bounded(said.collect()), ..PartReport::default() }
}

/// Names the applications of a range that a service no longer has.
pub(super) fn applications(account: &Account, service: &str, range: &IdRange) -> PartReport {
    let catalog = account.catalog();
    let Some(entry) = catalog.service(service) else { return PartReport::default() };
    let gone = entry.applications().map(|entry| &entry.record).filter(|record| {
        range.holds(&record.id)
            && !range.ids.contains(&record.id)
            && State::named(&record.state) == State::Active
    });
    let said = gone.map(|record| {
        let id = &record.id;
        let name = match &record.name {
            Some(name) => format!("{} ({id})", printable(name)),
            None => id.clone(),
        };
        format!(
            "The application {name} of the service {service} is gone in 3scale, and can still call here; delete \
             it with DELETE /internal/services/{service}/applications/{id}."
        )
    });
    PartReport { problems: bounded(said.collect()), ..PartReport::default() }
}
