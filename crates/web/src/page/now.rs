//! Now: whether all is well, who wrote what, and which key is in trouble.

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use keystile_core::journal::WriteRecord;
use keystile_core::keys::lock::LockTarget;
use keystile_core::policy::example_call::Wanted;
use keystile_engine::findings::{Finding, FindingLevel, ListChannelFindings, ListSourceFindings};
use keystile_engine::journal::{ListLastDay, PageRecords, RecordFilter};
use keystile_engine::keys::application::ApplicationView;
use keystile_engine::keys::application_lock::ListLockedApplications;
use keystile_engine::keys::budget_warnings::{BudgetWarning, ListBudgetWarnings};
use keystile_engine::keys::key::{KeyFilter, KeyView, ListKeys};
use keystile_engine::notifications::delivery::{DeliveryFilter, DeliveryView, ListDeliveries};

use super::{Frame, PageResult, Screen, clock, failure_page, page, plans_of_keys};
use crate::format::chart::{self, Bar, Svg};
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::traffic::Flow;
use crate::web::Web;

/// Locked keys that are shown; the rest is a link.
const LOCKED_SHOWN: u32 = 12;
const RECORDS_SHOWN: u32 = 20;
const TOLD_SHOWN: u32 = 5;

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage {
    frame: Frame,
    clock: Clock,
    well: bool,
    summary: String,
    writes_today: u64,
    refused_today: u64,
    flow: Flow,
    spark: Svg,
    locked: Vec<KeyView>,
    locked_more: u64,
    applications: Vec<ApplicationView>,
    near: Vec<BudgetWarning>,
    chart: Svg,
    records: Vec<WriteRecord>,
    deliveries: Vec<DeliveryView>,
    /// Channels that cannot send, and why.
    unable: Vec<String>,
    /// Key sources in trouble.
    troubled: Vec<Finding>,
    /// A call that writes, with KEY for the key.
    curl: Option<String>,
}

pub(crate) async fn now(State(web): State<Arc<Web>>, owner: SignedIn) -> PageResult {
    let frame = Frame::of(&web, &owner, Screen::Now, "Now");
    let clock = clock(&web);
    let filter =
        KeyFilter { locked_on: Some(LockTarget::Key), limit: LOCKED_SHOWN, ..KeyFilter::default() };
    let listed = web.engine.execute(&owner.principal(), ListKeys { filter }).await;
    let locked = listed.map_err(failure_page(&web, &owner))?;
    let principal = owner.principal();
    let listed = ListLockedApplications { limit: LOCKED_SHOWN };
    let applications = web.engine.execute(&principal, listed).await;
    let applications = applications.map_err(failure_page(&web, &owner))?;
    let hours = web.engine.execute(&principal, ListLastDay { now: clock.now }).await;
    let hours = hours.map_err(failure_page(&web, &owner))?;
    let filter = RecordFilter { limit: RECORDS_SHOWN, ..RecordFilter::default() };
    let records = web.engine.execute(&principal, PageRecords { filter }).await;
    let records = records.map_err(failure_page(&web, &owner))?.records;
    let channels = web.engine.execute(&principal, ListChannelFindings).await;
    let unable = unable(channels.map_err(failure_page(&web, &owner))?);
    let sources = web.engine.execute(&principal, ListSourceFindings).await;
    let mut troubled = sources.map_err(failure_page(&web, &owner))?;
    troubled.retain(|finding| finding.level == FindingLevel::Problem);
    let filter = DeliveryFilter { limit: TOLD_SHOWN, ..DeliveryFilter::default() };
    let deliveries = web.engine.execute(&owner.principal(), ListDeliveries { filter }).await;
    let deliveries = deliveries.map_err(failure_page(&web, &owner))?;
    let bars: Vec<Bar> = hours
        .iter()
        .map(|hour| Bar {
            label: clock.hour(hour.start),
            writes: hour.writes,
            refused: hour.refused,
        })
        .collect();
    let near = web.engine.execute(&principal, ListBudgetWarnings).await;
    let near = near.map_err(failure_page(&web, &owner))?;
    let flow = web.traffic.flow();
    let locked_count = web.engine.locked_keys();
    let locked_of_each = (locked_count, web.engine.locked_applications());
    let (well, summary) = match web.engine.store().warning() {
        Some(warning) if frame.fault.is_none() => (false, format!("Writes go on, but {warning}.")),
        Some(_) | None => {
            let warnings = (near.len(), unable.len(), troubled.len());
            summary(&frame, locked_of_each, warnings, &flow)
        }
    };
    Ok(page(&NowPage {
        well,
        summary,
        writes_today: bars.iter().map(|bar| bar.writes).sum(),
        refused_today: bars.iter().map(|bar| bar.refused).sum(),
        spark: chart::sparkline(&flow.calls, "Calls in the last five minutes"),
        flow,
        locked_more: locked_count.saturating_sub(locked.len() as u64),
        locked,
        applications,
        near,
        chart: chart::bars(&bars),
        records,
        deliveries,
        unable,
        troubled,
        curl: curl(&web),
        frame,
        clock,
    }))
}

fn unable(findings: Vec<Finding>) -> Vec<String> {
    let problems = findings.into_iter().filter(|finding| finding.level == FindingLevel::Problem);
    problems.map(|finding| finding.message).collect()
}

/// The one sentence that an owner reads first.
fn summary(
    frame: &Frame,
    (locked, applications): (u64, u64),
    (near, unable, troubled): (usize, usize, usize),
    flow: &Flow,
) -> (bool, String) {
    let traffic = match flow.reads + flow.writes {
        0 => "No calls in the last minute.",
        _ => "Traffic is flowing.",
    };
    if frame.fault.is_some() {
        return (false, "Writes are refused: the store cannot record them.".to_owned());
    }
    match applications {
        0 => {}
        1 => return (false, format!("One application is locked. {traffic}")),
        2.. => return (false, format!("{applications} applications are locked. {traffic}")),
    }
    match (locked, near) {
        (1, _) => (false, format!("One key is locked. {traffic}")),
        (2.., _) => (false, format!("{locked} keys are locked. {traffic}")),
        (0, _) if unable == 1 => (false, format!("A channel cannot send alerts. {traffic}")),
        (0, _) if unable > 1 => (false, format!("{unable} channels cannot send alerts. {traffic}")),
        (0, _) if troubled > 0 => (false, format!("A key source is in trouble. {traffic}")),
        (0, 0) => (true, format!("All is well. {traffic}")),
        (0, 1) => {
            (true, format!("All is well; one key has used most of a budget, or all. {traffic}"))
        }
        (0, near) => (
            true,
            format!("All is well; {near} keys have used most of a budget, or all. {traffic}"),
        ),
    }
}

fn curl(web: &Web) -> Option<String> {
    let plans = plans_of_keys(web).into_iter();
    let mut lines = plans.filter_map(|plan| web.engine.example_call(&plan, "KEY", Wanted::Write));
    lines.next()
}
