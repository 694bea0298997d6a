//! Keys: what an owner does with them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use keystile_core::journal::counts::AddressUse;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::time::{Span, Timestamp};
use keystile_engine::command::Command;
use keystile_engine::journal::{KeyActivity, ShowKeyActivity};
use keystile_engine::keys::create::{CreateKeys, NewKey, RollKey};
use keystile_engine::keys::edit::{ChangeKeyPlan, RevokeKey, SetKeyNote};
use keystile_engine::keys::key::{KeyDetails, KeyFilter, KeyView, ListKeys, ShowKey};
use keystile_engine::keys::lock::{LockKey, UnlockKey};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::answer::{created, tagged};
use super::caller::{Caller, Read, Write};
use super::input::{ApiQuery, Body, IfMatch, Named, millis, page_of};
use super::listed::Listed;
use super::problem::Problem;
use crate::web::Web;

/// Seven days in slots of four hours.
const SLOTS: u16 = 42;
const SLOT: Span = Span::from_secs(4 * 3600);

/// What state keys are in.
#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum KeyState {
    Active,
    Locked,
    Revoked,
}

impl KeyState {
    fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
        }
    }
}

#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct KeyQuery {
    /// Only those of this application: its name or id.
    application: Option<String>,
    /// Only those on this plan.
    plan: Option<String>,
    /// Only those in this state.
    #[param(inline)]
    state: Option<KeyState>,
    /// The `next` of the page before.
    cursor: Option<String>,
    /// How many to show at most, up to 1000; 50 where it is not said.
    limit: Option<u32>,
}

/// Keys, oldest first
#[utoipa::path(
    get, path = "/keys", tag = "keys", operation_id = "list_keys", params(KeyQuery),
    responses((status = OK, body = Listed<KeyView>), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn list(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    ApiQuery(query): ApiQuery<KeyQuery>,
) -> Result<Json<Listed<KeyView>>, Problem> {
    let limit = page_of(query.limit)?;
    let filter = KeyFilter {
        application: query.application,
        plan: query.plan,
        state: query.state.map(|state| state.name().to_owned()),
        locked_on: None,
        after: query.cursor,
        limit: limit + 1,
        ..KeyFilter::default()
    };
    let keys = caller.execute(&web, ListKeys { filter }).await?;
    Ok(Json(Listed::page(keys, limit, |key| key.id.clone())))
}

/// One key with its budgets and its history
///
/// `ETag` is the version of what can be edited of it; what it wrote is no part of that.
#[utoipa::path(
    get, path = "/keys/{key}", tag = "keys", operation_id = "show_key",
    params(("key" = String, Path, description = "Its id, or its prefix as listed.")),
    responses(
        (status = OK, body = KeyDetails, headers(("etag" = String, description = "Its version."))),
        Problem,
    ),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn show(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    Named(key): Named,
) -> Result<Response, Problem> {
    let shown = caller.execute(&web, ShowKey { key }).await?;
    Ok(tagged(&shown.key.version(), shown))
}

/// What a key did lately.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct KeyActivityView {
    /// When the first slot begins.
    since: Timestamp,
    /// How long each slot is.
    slot_ms: i64,
    /// How many records each slot has, earliest first.
    slots: Vec<u64>,
    /// Whether there are more records than were counted, so that the first slots lack some.
    is_truncated: bool,
    /// Addresses that it was last used from, the last first.
    addresses: Vec<AddressUse>,
}

impl From<KeyActivity> for KeyActivityView {
    fn from(activity: KeyActivity) -> Self {
        let KeyActivity { records, since, slot, addresses } = activity;
        Self {
            since,
            slot_ms: slot.millis(),
            slots: records.slots,
            is_truncated: records.is_truncated,
            addresses,
        }
    }
}

/// What a key did in the last seven days, and from where
#[utoipa::path(
    get, path = "/keys/{key}/activity", tag = "keys", operation_id = "show_key_activity",
    params(("key" = String, Path, description = "Its id, or its prefix as listed.")),
    responses((status = OK, body = KeyActivityView), Problem),
    security(("token" = ["read"]), ("session" = ["read"])),
)]
pub(super) async fn activity(
    State(web): State<Arc<Web>>,
    caller: Caller<Read>,
    Named(key): Named,
) -> Result<Json<KeyActivityView>, Problem> {
    let show = ShowKeyActivity { key, slot: SLOT, slots: SLOTS };
    Ok(Json(caller.execute(&web, show).await?.into()))
}

/// A key to issue.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyToCreate {
    /// The application's name; one that is new is created.
    application: String,
    /// The plan of the key, and of the application where it is new; the application's plan where it is
    /// not said.
    plan: Option<String>,
}

/// The key that was issued.
fn issued(key: NewKey) -> Response {
    created(&format!("/api/v1/keys/{}", key.id), Json(key))
}

/// Issues a key
///
/// Its text is in the answer, and nowhere else ever again.
#[utoipa::path(
    post, path = "/keys", tag = "keys", operation_id = "create_key", request_body = KeyToCreate,
    responses((status = CREATED, body = NewKey), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn create(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Body(new): Body<KeyToCreate>,
) -> Result<Response, Problem> {
    let KeyToCreate { application, plan } = new;
    let command = CreateKeys { application, plan, count: 1 };
    let key = caller.execute(&web, command).await?.pop();
    key.map(issued).ok_or_else(Problem::odd_answer)
}

/// Edits a key, and shows how it is now.
async fn edit<C: Command>(
    web: &Web,
    caller: &Caller<Write>,
    key: String,
    command: C,
) -> Result<Response, Problem> {
    caller.execute(web, command).await?;
    let shown = caller.execute(web, ShowKey { key }).await?;
    Ok(tagged(&shown.key.version(), shown))
}

/// One thing to change.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum Change {
    /// The name of another plan.
    Plan(String),
    /// A note of at most 500 characters; an empty one removes the note before.
    Note(String),
}

/// Puts a key on another plan, or notes something about it
///
/// What it wrote before counts in the budgets of the new plan.
#[utoipa::path(
    patch, path = "/keys/{key}", tag = "keys", operation_id = "change_key",
    params(
        ("key" = String, Path, description = "Its id, or its prefix as listed."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = Change,
    responses((status = OK, body = KeyDetails), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn change(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(key): Named,
    IfMatch(expected): IfMatch,
    Body(change): Body<Change>,
) -> Result<Response, Problem> {
    let named = key.clone();
    match change {
        Change::Plan(plan) => {
            edit(&web, &caller, named, ChangeKeyPlan { key, plan, expected }).await
        }
        Change::Note(note) => edit(&web, &caller, named, SetKeyNote { key, note, expected }).await,
    }
}

/// A lock to set.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLock {
    /// Which calls to stop.
    level: LockLevel,
    /// Why, for the owners and the audit.
    reason: String,
    /// How long it holds, as in `2 hours`; until it is unlocked where it is not said.
    r#for: Option<String>,
}

/// Locks a key
#[utoipa::path(
    post, path = "/keys/{key}/lock", tag = "keys", operation_id = "lock_key",
    params(
        ("key" = String, Path, description = "Its id, or its prefix as listed."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = NewLock,
    responses((status = OK, body = KeyDetails), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn lock(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(key): Named,
    IfMatch(expected): IfMatch,
    Body(new): Body<NewLock>,
) -> Result<Response, Problem> {
    let NewLock { level, reason, r#for: span } = new;
    let for_millis = span.as_deref().map(millis).transpose()?;
    let command = LockKey { key: key.clone(), level, reason, for_millis, expected };
    edit(&web, &caller, key, command).await
}

/// How to unlock a key or an application.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Unlocking {
    /// Whether its budgets begin anew. An owner must have authenticated recently for `reset`.
    pub(super) budgets: Budgets,
}

/// Unlocks a key
#[utoipa::path(
    post, path = "/keys/{key}/unlock", tag = "keys", operation_id = "unlock_key",
    params(
        ("key" = String, Path, description = "Its id, or its prefix as listed."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = Unlocking,
    responses((status = OK, body = KeyDetails), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn unlock(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(key): Named,
    IfMatch(expected): IfMatch,
    Body(Unlocking { budgets }): Body<Unlocking>,
) -> Result<Response, Problem> {
    match budgets {
        Budgets::Keep => {}
        Budgets::Reset => caller.check_recent_authentication()?,
    }
    edit(&web, &caller, key.clone(), UnlockKey { key, budgets, expected }).await
}

/// How to roll a key.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rolling {
    /// How long the old key goes on, as in `1 day`.
    grace: String,
}

/// Issues a successor of a key, which itself works for a while and is then revoked
///
/// The new key's text is in the answer, and nowhere else ever again.
#[utoipa::path(
    post, path = "/keys/{key}/roll", tag = "keys", operation_id = "roll_key",
    params(
        ("key" = String, Path, description = "Its id, or its prefix as listed."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    request_body = Rolling,
    responses((status = CREATED, body = NewKey), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn roll(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(key): Named,
    IfMatch(expected): IfMatch,
    Body(Rolling { grace }): Body<Rolling>,
) -> Result<Response, Problem> {
    let command = RollKey { key, grace_millis: millis(&grace)?, expected };
    Ok(issued(caller.execute(&web, command).await?))
}

/// Revokes a key for good
///
/// An owner must have authenticated recently.
#[utoipa::path(
    post, path = "/keys/{key}/revoke", tag = "keys", operation_id = "revoke_key",
    params(
        ("key" = String, Path, description = "Its id, or its prefix as listed."),
        ("if-match" = Option<String>, Header, description = "The ETag that it was shown with."),
    ),
    responses((status = OK, body = KeyDetails), Problem),
    security(("token" = ["write"]), ("session" = ["write"])),
)]
pub(super) async fn revoke(
    State(web): State<Arc<Web>>,
    caller: Caller<Write>,
    Named(key): Named,
    IfMatch(expected): IfMatch,
) -> Result<Response, Problem> {
    caller.check_recent_authentication()?;
    edit(&web, &caller, key.clone(), RevokeKey { key, expected }).await
}
