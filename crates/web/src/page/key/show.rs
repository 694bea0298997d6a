//! One key with its budgets, its writes and its history.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use keystile_core::audit::AuditEvent;
use keystile_core::journal::WriteRecord;
use keystile_core::journal::counts::AddressUse;
use keystile_core::keys::lock::LockTarget;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::journal::{KeyActivity, PageRecords, RecordFilter, ShowKeyActivity};
use keystile_engine::keys::key::{BudgetView, KeyView, ShowKey};

use crate::format::chart::{self, Svg};
use crate::format::filters;
use crate::format::when::Clock;
use crate::page::{Frame, PageResult, Screen, clock, failure_page, page, plans_of_keys};
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const RECORDS_SHOWN: u32 = 20;
/// Seven days in slots of four hours.
const SLOTS: u16 = 42;
const SLOT: Span = Span::from_secs(4 * 3600);

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage {
    frame: Frame,
    clock: Clock,
    key: KeyView,
    budgets: Vec<BudgetView>,
    /// When there is room again, soonest last.
    frees: Vec<Timestamp>,
    is_plan_known: bool,
    /// Whether what it was imported from stays in charge of it.
    is_of_source: bool,
    plans: Vec<String>,
    spark: Svg,
    records: Vec<WriteRecord>,
    addresses: Vec<AddressUse>,
    events: Vec<AuditEvent>,
}

pub(crate) async fn key(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> PageResult {
    let details = web.engine.execute(&owner.principal(), ShowKey { key: id }).await;
    let details = details.map_err(failure_page(&web, &owner))?;
    let filter = RecordFilter {
        key: Some(details.key.id.clone()),
        limit: RECORDS_SHOWN,
        ..RecordFilter::default()
    };
    let principal = owner.principal();
    let records = web.engine.execute(&principal, PageRecords { filter }).await;
    let records = records.map_err(failure_page(&web, &owner))?.records;
    let show = ShowKeyActivity { key: details.key.id.clone(), slot: SLOT, slots: SLOTS };
    let activity = web.engine.execute(&principal, show).await;
    let activity = activity.map_err(failure_page(&web, &owner))?;
    let KeyActivity { records: lately, addresses, .. } = activity;
    let frees = details
        .budgets
        .iter()
        .filter(|budget| budget.remaining == 0)
        .filter_map(|budget| budget.frees_at)
        .max();
    Ok(page(&KeyPage {
        frame: Frame::of(&web, &owner, Screen::Keys, &format!("Key {}…", details.key.prefix)),
        clock: clock(&web),
        is_plan_known: web.engine.policy().plan(&details.key.plan).is_some(),
        plans: plans_of_keys(&web),
        is_of_source: details
            .key
            .origin
            .as_ref()
            .is_some_and(|origin| web.engine.key_source_names().contains(origin)),
        spark: chart::sparkline(&lately.slots, "Writes in the last seven days"),
        key: details.key,
        budgets: details.budgets,
        frees: frees.into_iter().collect(),
        records,
        addresses,
        events: details.events,
    }))
}
