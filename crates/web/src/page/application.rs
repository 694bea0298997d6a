//! Applications: the list, and one with its keys.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use keystile_core::audit::AuditEvent;
use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::audit::{EventFilter, ListEvents};
use keystile_engine::keys::application::{ApplicationView, ListApplications, ShowApplication};
use keystile_engine::keys::application_edit::{
    ChangeApplicationPlan, SetApplicationNote, SetApplicationState,
};
use keystile_engine::keys::key::{KeyFilter, KeyView, ListKeys};
use keystile_engine::keys::shared_budgets::{ListApplicationBudgets, SharedBudgetView};
use serde::Deserialize;

use super::{
    ConfirmPage, Frame, NoteForm, PageResult, PlanForm, Screen, act, act_typed, clock,
    failure_page, lines, page, plans_of_keys,
};
use crate::flash::Typed;
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;
const SUGGESTED: u32 = 200;
const KEYS_SHOWN: u32 = 50;
const EVENTS_SHOWN: u32 = 50;

#[derive(Template)]
#[template(path = "applications.html")]
struct ApplicationsPage {
    frame: Frame,
    clock: Clock,
    applications: Vec<ApplicationView>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct After {
    after: Option<String>,
}

pub(crate) async fn applications(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<After>,
) -> PageResult {
    let command = ListApplications { after: query.after.unwrap_or_default(), limit: Some(PAGE) };
    let list = web.engine.execute(&owner.principal(), command).await;
    let applications = list.map_err(failure_page(&web, &owner))?;
    let end = applications.last().filter(|_| applications.len() == PAGE as usize);
    let next =
        end.map(|end| format!("/applications?after={}", crate::form::path_segment(&end.name)));
    Ok(page(&ApplicationsPage {
        frame: Frame::of(&web, &owner, Screen::Applications, "Applications"),
        clock: clock(&web),
        applications,
        next,
    }))
}

/// The names of some applications, for suggestions; none where they cannot be read.
pub(crate) async fn names(web: &Arc<Web>, owner: &SignedIn) -> Vec<String> {
    let command = ListApplications { after: String::new(), limit: Some(SUGGESTED) };
    let list = web.engine.execute(&owner.principal(), command).await;
    let list = list.unwrap_or_else(|failure| {
        tracing::warn!(error = %failure, "a page goes without suggestions: applications could not be read");
        Vec::new()
    });
    list.into_iter().map(|one| one.name).collect()
}

#[derive(Template)]
#[template(path = "application.html")]
struct ApplicationPage {
    frame: Frame,
    clock: Clock,
    application: ApplicationView,
    is_active: bool,
    plans: Vec<String>,
    plan_hint: &'static str,
    budgets: Vec<SharedBudgetView>,
    keys: Vec<KeyView>,
    more_keys: bool,
    events: Vec<AuditEvent>,
    /// The key sources that its keys come from and that stay in charge of it.
    sources: Vec<String>,
}

pub(crate) async fn application(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> PageResult {
    let principal = owner.principal();
    let application = web.engine.execute(&principal, ShowApplication { application: name }).await;
    let application = application.map_err(failure_page(&web, &owner))?;
    let shared = ListApplicationBudgets { application: application.id.clone() };
    let budgets = web.engine.execute(&principal, shared).await;
    let budgets = budgets.map_err(failure_page(&web, &owner))?;
    let of_application = KeyFilter {
        application: Some(application.name.clone()),
        limit: KEYS_SHOWN + 1,
        ..KeyFilter::default()
    };
    let listed = web.engine.execute(&principal, ListKeys { filter: of_application }).await;
    let mut keys = listed.map_err(failure_page(&web, &owner))?;
    let more_keys = keys.len() > KEYS_SHOWN as usize;
    keys.truncate(KEYS_SHOWN as usize);
    let filter = EventFilter {
        application: Some(application.name.clone()),
        limit: EVENTS_SHOWN,
        ..EventFilter::default()
    };
    let listed = web.engine.execute(&principal, ListEvents { filter }).await;
    let events = listed.map_err(failure_page(&web, &owner))?;
    Ok(page(&ApplicationPage {
        frame: Frame::of(&web, &owner, Screen::Applications, &application.name),
        clock: clock(&web),
        is_active: application.state == ApplicationState::Active,
        plans: plans_of_keys(&web),
        plan_hint: "New keys get this plan, and so do its keys that are on its present one. Keys with a plan of their own keep it.",
        sources: sources_of(&web, &keys),
        application,
        budgets,
        keys,
        more_keys,
        events,
    }))
}

/// The sources that are set up and that some keys come from.
fn sources_of(web: &Web, keys: &[KeyView]) -> Vec<String> {
    let mut sources = web.engine.key_source_names();
    sources.retain(|source| keys.iter().any(|key| key.origin.as_ref() == Some(source)));
    sources
}

pub(crate) async fn suspend_page(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> PageResult {
    let path = path(&name);
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Applications, "Suspend an application"),
        subject: format!("No key of {name} will be able to call, reads included."),
        consequences: vec![
            "It will hold from the next request on.".to_owned(),
            "You can resume the application at any time; its keys stay as they are.".to_owned(),
        ],
        action: format!("{path}/suspend"),
        fields: Vec::new(),
        button: "Suspend",
        tone: "danger",
        back: path,
    }))
}

pub(super) fn path(name: &str) -> String {
    format!("/applications/{}", crate::form::path_segment(name))
}

async fn set_state(
    web: &Arc<Web>,
    owner: &SignedIn,
    name: String,
    state: ApplicationState,
) -> Response {
    let back = path(&name);
    let command = SetApplicationState { application: name, state, expected: Expected::Any };
    act(web, owner, command, &back, None).await
}

pub(crate) async fn suspend(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> Response {
    set_state(&web, &owner, name, ApplicationState::Suspended).await
}

pub(crate) async fn resume(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> Response {
    set_state(&web, &owner, name, ApplicationState::Active).await
}

pub(crate) async fn change_plan(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
    Form(form): Form<PlanForm>,
) -> Response {
    let back = path(&name);
    let typed = Typed { form: "plan", fields: vec![("plan", form.plan.clone())] };
    let (application, plan) = (name, form.plan);
    let command = ChangeApplicationPlan { application, plan, expected: Expected::Any };
    act_typed(&web, &owner, command, &back, None, typed).await
}

pub(crate) async fn set_note(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
    Form(form): Form<NoteForm>,
) -> Response {
    let back = path(&name);
    let typed = Typed { form: "note", fields: vec![("note", form.note.clone())] };
    let (application, note) = (name, lines(&form.note));
    let command = SetApplicationNote { application, note, expected: Expected::Any };
    act_typed(&web, &owner, command, &back, None, typed).await
}
