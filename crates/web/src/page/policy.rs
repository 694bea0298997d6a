//! The policy: plans against operations, budgets in words, what the file says, and what traffic does that
//! no rule names. The file stays the source; nothing is edited here.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use keystile_core::journal::WriteRecord;
use keystile_core::policy::api::Charge;
use keystile_core::policy::matrix::{self, Cell};
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use keystile_engine::journal::{PageRecords, RecordFilter};
use keystile_engine::keys::key::BudgetView;
use keystile_engine::keys::shared_budgets::{ListPlanBudgets, SharedBudgetView};
use keystile_engine::policy::{PolicyInForce, ShowPolicy};
use keystile_engine::reload::Reload;

use super::{Frame, PageResult, Screen, act, clock, failure_page, page};
use crate::format;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

/// Records that are looked at for operations that no rule names.
const LOOKED_AT: u32 = 2_000;
const UNNAMED_SHOWN: usize = 20;
/// A file that is longer is shown by its path only.
const FILE_BYTES_MAX: u64 = 256 * 1024;

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    frame: Frame,
    clock: Clock,
    note: String,
    has_file: bool,
    file: Option<String>,
    text: Option<String>,
    plans: Vec<PlanShown>,
    rows: Vec<RowShown>,
    unnamed: Vec<Unnamed>,
    looked_at: u32,
    example: String,
}

struct PlanShown {
    name: String,
    is_keyless: bool,
    sentences: Vec<String>,
    /// How what all on it share stands.
    budgets: Vec<BudgetView>,
    line: Option<usize>,
}

struct RowShown {
    operation: String,
    what: Option<String>,
    cells: Vec<String>,
}

/// An operation of traffic that only a wider rule matched.
struct Unnamed {
    /// The API that it belongs to.
    api: String,
    operation: String,
    matched: String,
    count: u32,
    last: Timestamp,
}

/// The file as text, where it can be read and is not too long.
async fn text_of(file: &std::path::Path) -> Option<String> {
    let read = async {
        if tokio::fs::metadata(file).await?.len() > FILE_BYTES_MAX {
            return Ok(None);
        }
        tokio::fs::read_to_string(file).await.map(Some)
    };
    let text: std::io::Result<_> = read.await;
    text.unwrap_or_else(|error| {
        tracing::warn!(%error, file = %file.display(), "the configuration file cannot be shown");
        None
    })
}

pub(crate) async fn policy(State(web): State<Arc<Web>>, owner: SignedIn) -> PageResult {
    let shown_policy = web.engine.execute(&owner.principal(), ShowPolicy).await;
    let PolicyInForce { policy, note, .. } = shown_policy.map_err(failure_page(&web, &owner))?;
    let filter = RecordFilter { limit: LOOKED_AT, ..RecordFilter::default() };
    let records = web.engine.execute(&owner.principal(), PageRecords { filter }).await;
    let records = records.map_err(failure_page(&web, &owner))?.records;
    let text = match &web.settings.file {
        Some(file) => text_of(file).await,
        None => None,
    };
    let budgets = web.engine.execute(&owner.principal(), ListPlanBudgets).await;
    let budgets = budgets.map_err(failure_page(&web, &owner))?;
    let mut plans: Vec<&Arc<Plan>> = policy.plans().collect();
    plans.sort_by(|a, b| a.name().cmp(b.name()));
    let unnamed = unnamed(&records);
    Ok(page(&PolicyPage {
        frame: Frame::of(&web, &owner, Screen::Policy, "Policy"),
        clock: clock(&web),
        note: format::capital(&format!("{note}.")),
        has_file: web.settings.file.is_some(),
        file: web.settings.file.as_ref().map(|file| file.display().to_string()),
        plans: plans.iter().map(|plan| shown(plan, &budgets, text.as_deref())).collect(),
        rows: rows(&policy, &plans),
        example: example(unnamed.first(), &policy),
        unnamed,
        looked_at: LOOKED_AT,
        text,
    }))
}

fn shown(plan: &Plan, budgets: &[SharedBudgetView], text: Option<&str>) -> PlanShown {
    let own = budgets.iter().filter(|shared| shared.plan == plan.name());
    let head = format!("[plan.{}]", plan.name());
    PlanShown {
        name: plan.name().to_owned(),
        is_keyless: plan.spec().is_keyless,
        sentences: format::plan(plan.spec()),
        budgets: own.map(|shared| shared.budget.clone()).collect(),
        line: text
            .and_then(|text| text.lines().position(|line| line.trim() == head))
            .map(|place| place + 1),
    }
}

fn rows(policy: &Policy, plans: &[&Arc<Plan>]) -> Vec<RowShown> {
    let listed: Vec<&Plan> = plans.iter().map(|plan| &***plan).collect();
    let has_several = policy.apis().len() > 1;
    let shown = |row: matrix::Row| RowShown {
        operation: if has_several {
            format!("{}: {}", row.api, row.operation)
        } else {
            row.operation
        },
        what: match row.charge {
            Charge::Nothing => Some("read".to_owned()),
            Charge::Writes(1) => None,
            Charge::Writes(cost) => Some(format!("costs {cost}")),
            Charge::ByBody(_) => Some("costs what its body says".to_owned()),
        },
        cells: row
            .cells
            .iter()
            .map(|cell| match cell {
                Cell::Refused => "–".to_owned(),
                Cell::Allowed { budgets: 0 } => "✓".to_owned(),
                Cell::Allowed { budgets } => format!("✓ {budgets}"),
            })
            .collect(),
    };
    matrix::rows(policy, &listed).into_iter().map(shown).collect()
}

/// Operations that met only a rule for every path, most frequent first.
fn unnamed(records: &[WriteRecord]) -> Vec<Unnamed> {
    let mut found: HashMap<(String, String), Unnamed> = HashMap::new();
    for record in records.iter().filter(|record| record.operation.ends_with(" *")) {
        let operation = format!("{} {}", record.method, general(&record.path));
        let seen =
            found.entry((record.api.clone(), operation.clone())).or_insert_with(|| Unnamed {
                api: record.api.clone(),
                operation,
                matched: record.operation.clone(),
                count: 0,
                last: record.time,
            });
        seen.count = seen.count.saturating_add(record.count);
    }
    let mut found: Vec<_> = found.into_values().collect();
    found.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.operation.cmp(&b.operation)));
    found.truncate(UNNAMED_SHOWN);
    found
}

/// A path with what looks like an id made open: `/bookmarks/41` is `/bookmarks/{id}`.
fn general(path: &str) -> String {
    let is_id = |segment: &str| {
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        let hexadecimal = segment.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        digits > 0
            && (digits == segment.len()
                || (segment.len() >= 8 && hexadecimal)
                || segment.len() >= 20)
    };
    let general: Vec<_> =
        path.split('/').map(|segment| if is_id(segment) { "{id}" } else { segment }).collect();
    general.join("/")
}

fn example(unnamed: Option<&Unnamed>, policy: &Policy) -> String {
    let first = || policy.apis().first().map_or("NAME", |api| api.name());
    let api = unnamed.map_or_else(first, |seen| &seen.api);
    let operation = unnamed.map_or("POST /import", |seen| &seen.operation);
    format!("[[api.{api}.operation]]\nmatch = {}\ncost = 5", toml_text(operation))
}

/// A text as TOML writes it.
fn toml_text(text: &str) -> String {
    // JSON's escapes are a part of TOML's.
    serde_json::Value::from(text).to_string()
}

pub(crate) async fn reload(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    act(&web, &owner, Reload, "/policy", None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_differ_only_in_an_id_are_one_operation() {
        for (path, shown) in [
            ("/bookmarks/41", "/bookmarks/{id}"),
            ("/b/018f3c1e-7b1a-7c3e-9a55-0123456789ab/tags", "/b/{id}/tags"),
            ("/v2/bookmarks", "/v2/bookmarks"),
            ("/", "/"),
            ("/deadbeef", "/deadbeef"),
            ("/dead8eef", "/{id}"),
        ] {
            assert_eq!(general(path), shown);
        }
    }
}
