//! Keys: the list, one key with its budgets and history, and what an owner does with it.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use keystile_core::journal::WriteRecord;
use keystile_core::lock::LockLevel;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::AddressUse;
use keystile_engine::KeyActivity;
use keystile_engine::command::{
    BudgetView, Budgets, EventView, Failure, FailureKind, KeyFilter, KeyView, RecordFilter,
};
use keystile_engine::legacy::{Answer, Command};
use serde::{Deserialize, Serialize};

use super::{
    ConfirmPage, Frame, PageResult, Screen, act, act_typed, clock, filled, lines, page,
    plans_of_keys, redirect, trouble,
};
use crate::carry_out::{blocking, carry_out};
use crate::flash::{Flash, Secret, Typed, Undo};
use crate::format;
use crate::format::chart::{self, Svg};
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

const PAGE: u32 = 50;
const RECORDS_SHOWN: u32 = 20;
/// Seven days in slots of four hours.
const SLOTS: u16 = 42;
const SLOT: Span = Span::from_secs(4 * 3600);

/// What the filter form asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
}

#[derive(Template)]
#[template(path = "keys.html")]
struct KeysPage {
    frame: Frame,
    clock: Clock,
    asked: Asked,
    is_filtered: bool,
    plans: Vec<String>,
    keys: Vec<KeyView>,
    mistake: Option<String>,
    next: Option<String>,
}

pub(crate) async fn keys(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(asked): Query<Asked>,
) -> PageResult {
    let asked = Asked {
        application: filled(asked.application),
        plan: filled(asked.plan),
        state: filled(asked.state),
        after: filled(asked.after),
    };
    let filter = KeyFilter {
        application: asked.application.clone(),
        plan: asked.plan.clone(),
        state: asked.state.clone(),
        after: asked.after.clone(),
        limit: PAGE,
    };
    let (keys, mistake) =
        match carry_out(&web.engine, Command::ListKeys(filter), owner.actor()).await {
            Ok(Answer::Keys(keys)) => (keys, None),
            Ok(_) => (Vec::new(), None),
            Err(failure) => (Vec::new(), Some(failure.message)),
        };
    let next = keys.last().filter(|_| keys.len() == PAGE as usize).map(|last| {
        let further = Asked { after: Some(last.id.clone()), ..asked.clone() };
        format!("/keys?{}", crate::form::encoded(&further))
    });
    Ok(page(&KeysPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Keys"),
        clock: clock(&web),
        is_filtered: asked.application.is_some() || asked.plan.is_some() || asked.state.is_some(),
        plans: plans_of_keys(&web),
        asked,
        keys,
        mistake,
        next,
    }))
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewKeyPage {
    frame: Frame,
    application: Option<String>,
    applications: Vec<String>,
    /// Names with their rules in words.
    plans: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ForApplication {
    application: Option<String>,
}

pub(crate) async fn new_key(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(asked): Query<ForApplication>,
) -> PageResult {
    let policy = web.engine.policy();
    let plans = plans_of_keys(&web)
        .into_iter()
        .map(|name| {
            let spec = policy.plan(&name).map(|plan| format::plan(plan.spec()).join(". "));
            (name, spec.unwrap_or_default())
        })
        .collect();
    let applications = super::application::names(&web).await;
    Ok(page(&NewKeyPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Create a key"),
        application: filled(asked.application),
        applications,
        plans,
    }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewKeyForm {
    application: String,
    plan: String,
}

pub(crate) async fn create(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Form(form): Form<NewKeyForm>,
) -> Response {
    let typed = Typed {
        form: "create",
        fields: vec![("application", form.application.clone()), ("plan", form.plan.clone())],
    };
    let command = Command::CreateKeys {
        application: form.application.trim().to_owned(),
        plan: Some(form.plan),
        count: 1,
    };
    show_new_key(&web, &owner, command, "/keys/new", typed).await
}

/// Issues a key and leads to its page, which shows it once.
async fn show_new_key(
    web: &Arc<Web>,
    owner: &SignedIn,
    command: Command,
    otherwise: &str,
    typed: Typed,
) -> Response {
    match carry_out(&web.engine, command, owner.actor()).await {
        Ok(Answer::NewKeys(keys)) if !keys.is_empty() => {
            let key = &keys[0];
            let secret = Secret {
                label: format!(
                    "The key of {}, shown only now. Keep it where only {} can read it.",
                    key.application, key.application
                ),
                text: key.key.clone(),
                example: key.example.clone(),
            };
            let flash = Flash {
                secrets: vec![secret],
                ..Flash::done(format!("Created a key for {}.", key.application))
            };
            web.flashes.put(owner.session(), flash);
            redirect(&format!("/keys/{}", key.id))
        }
        Ok(_) => redirect(otherwise),
        Err(failure) => {
            let flash = Flash { typed: Some(typed), ..Flash::failed(&failure) };
            web.flashes.put(owner.session(), flash);
            redirect(otherwise)
        }
    }
}

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
    plans: Vec<String>,
    spark: Svg,
    records: Vec<WriteRecord>,
    addresses: Vec<AddressUse>,
    events: Vec<EventView>,
}

pub(crate) async fn key(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> PageResult {
    let shown = carry_out(&web.engine, Command::ShowKey { key: id.clone() }, owner.actor()).await;
    let details = match shown.map_err(trouble(&web, &owner))? {
        Answer::Key(details) => *details,
        _ => return Ok(redirect("/keys")),
    };
    let filter = RecordFilter {
        key: Some(details.key.id.clone()),
        limit: RECORDS_SHOWN,
        ..RecordFilter::default()
    };
    let key_id = details.key.id.clone();
    let (records, activity) = blocking(&web.engine, move |engine| {
        Ok::<_, Failure>((
            engine.record_page(&filter)?.records,
            engine.key_activity(&key_id, SLOT, SLOTS)?,
        ))
    })
    .await
    .map_err(trouble(&web, &owner))?;
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
        spark: chart::sparkline(&lately.slots, "Writes in the last seven days"),
        key: details.key,
        budgets: details.budgets,
        frees: frees.into_iter().collect(),
        records,
        addresses,
        events: details.events,
    }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct LockForm {
    level: LockLevel,
    reason: String,
    span: Option<String>,
}

pub(crate) async fn lock(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<LockForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed {
        form: "lock",
        fields: vec![
            ("level", form.level.to_string()),
            ("reason", form.reason.clone()),
            ("span", form.span.clone().unwrap_or_default()),
        ],
    };
    let span = match filled(form.span).map(|text| text.parse::<Span>()).transpose() {
        Ok(span) => span,
        Err(error) => return refuse(&web, &owner, &error, &back, typed),
    };
    let command = Command::LockKey {
        key: id.clone(),
        level: form.level,
        reason: form.reason,
        for_millis: span.map(Span::millis),
    };
    let undo = Undo {
        label: "Unlock again",
        action: format!("/keys/{id}/unlock"),
        fields: vec![("budgets", "keep".to_owned())],
    };
    act_typed(&web, &owner, command, &back, Some(undo), typed).await
}

/// Says what was wrong with a form, which comes back as it was.
fn refuse(
    web: &Web,
    owner: &SignedIn,
    error: &dyn std::fmt::Display,
    back: &str,
    typed: Typed,
) -> Response {
    let failure = Failure { kind: FailureKind::Invalid, message: error.to_string(), help: None };
    let flash = Flash { typed: Some(typed), ..Flash::failed(&failure) };
    web.flashes.put(owner.session(), flash);
    redirect(back)
}

#[derive(Debug, Deserialize)]
pub(crate) struct UnlockForm {
    back: Option<String>,
}

/// Unlocks a key and keeps what was counted.
pub(crate) async fn unlock(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<UnlockForm>,
) -> Response {
    let back = form.back.unwrap_or_else(|| format!("/keys/{id}"));
    let undo = Undo {
        label: "Lock again",
        action: format!("/keys/{id}/lock"),
        fields: vec![
            ("level", LockLevel::Writes.to_string()),
            ("reason", format!("locked again by {}", owner.name())),
        ],
    };
    let command = Command::UnlockKey { key: id, budgets: Budgets::Keep };
    act(&web, &owner, command, &back, Some(undo)).await
}

/// Where a message leads whose key is locked: sign-in and proof come back to it.
pub(crate) async fn unlock_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm(&web, &owner, &id, |key| {
        let consequences = match &key.lock {
            Some(lock) => vec![
                format!("It was locked at {} for this: {}.", lock.since.readable(), lock.reason),
                "What it wrote still counts: a key that used its budget up locks again at its next write, \
                 until the window has passed or you give it more room."
                    .to_owned(),
            ],
            None => vec!["It is not locked now; nothing would change.".to_owned()],
        };
        ConfirmPage {
            frame: Frame::of(&web, &owner, Screen::Keys, "Unlock"),
            subject: format!("{} ({}…) will be able to write again.", key.application, key.prefix),
            consequences,
            action: format!("/keys/{}/unlock", key.id),
            fields: Vec::new(),
            button: "Unlock",
            tone: "primary",
            back: format!("/keys/{}", key.id),
        }
    })
    .await
}

pub(crate) async fn more_room_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm(&web, &owner, &id, |key| ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Unlock with more room"),
        subject: format!(
            "{} ({}…) will write again, and its budgets will begin anew.",
            key.application, key.prefix
        ),
        consequences: vec![
            "What it wrote stays on record, and will no longer count.".to_owned(),
            format!(
                "Within one window it may then write up to twice what the plan {} says.",
                key.plan
            ),
            "You can lock the key again at any time.".to_owned(),
        ],
        action: format!("/keys/{}/more-room", key.id),
        fields: Vec::new(),
        button: "Unlock with more room",
        tone: "primary",
        back: format!("/keys/{}", key.id),
    })
    .await
}

pub(crate) async fn more_room(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> Response {
    let back = format!("/keys/{id}");
    act(&web, &owner, Command::UnlockKey { key: id, budgets: Budgets::Reset }, &back, None).await
}

pub(crate) async fn revoke_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm(&web, &owner, &id, |key| ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Revoke a key"),
        subject: format!(
            "{} will never be able to use the key {}… again.",
            key.application, key.prefix
        ),
        consequences: vec![
            "Every call with it will be refused from the next request on.".to_owned(),
            "This cannot be taken back. To stop it for a while, lock it instead.".to_owned(),
            "What it wrote stays in the journal.".to_owned(),
        ],
        action: format!("/keys/{}/revoke", key.id),
        fields: Vec::new(),
        button: "Revoke for good",
        tone: "danger",
        back: format!("/keys/{}", key.id),
    })
    .await
}

pub(crate) async fn revoke(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> Response {
    let back = format!("/keys/{id}");
    act(&web, &owner, Command::RevokeKey { key: id }, &back, None).await
}

async fn confirm(
    web: &Arc<Web>,
    owner: &SignedIn,
    id: &str,
    asks: impl FnOnce(&KeyView) -> ConfirmPage,
) -> PageResult {
    let shown =
        carry_out(&web.engine, Command::ShowKey { key: id.to_owned() }, owner.actor()).await;
    match shown.map_err(trouble(web, owner))? {
        Answer::Key(details) => Ok(page(&asks(&details.key))),
        _ => Ok(redirect("/keys")),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct RollForm {
    grace: String,
}

pub(crate) async fn roll(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<RollForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "roll", fields: vec![("grace", form.grace.clone())] };
    match form.grace.trim().parse::<Span>() {
        Ok(grace) => {
            let command = Command::RollKey { key: id, grace_millis: grace.millis() };
            show_new_key(&web, &owner, command, &back, typed).await
        }
        Err(error) => refuse(&web, &owner, &error, &back, typed),
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct PlanForm {
    pub(crate) plan: String,
}

pub(crate) async fn change_plan(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<PlanForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "plan", fields: vec![("plan", form.plan.clone())] };
    let command = Command::ChangeKeyPlan { key: id, plan: form.plan };
    act_typed(&web, &owner, command, &back, None, typed).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct NoteForm {
    pub(crate) note: String,
}

pub(crate) async fn set_note(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<NoteForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "note", fields: vec![("note", form.note.clone())] };
    let command = Command::SetKeyNote { key: id, note: lines(&form.note) };
    act_typed(&web, &owner, command, &back, None, typed).await
}
