//! Applications: the list, and one with its keys.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use keystile_core::decision::ApplicationState;
use keystile_engine::command::{ApplicationView, EventFilter, EventView, KeyFilter, KeyView};
use keystile_engine::legacy::{Answer, Command};

use serde::Deserialize;

use super::key::{NoteForm, PlanForm};
use super::{
    ConfirmPage, Frame, PageResult, Screen, act, act_typed, clock, lines, page, plans_of_keys,
    trouble,
};
use crate::carry_out::{blocking, carry_out};
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
    Query(asked): Query<After>,
) -> PageResult {
    let after = asked.after.unwrap_or_default();
    let list = blocking(&web.engine, move |engine| engine.application_page(&after, PAGE)).await;
    let applications = list.map_err(trouble(&web, &owner))?;
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
pub(crate) async fn names(web: &Arc<Web>) -> Vec<String> {
    let list = blocking(&web.engine, |engine| engine.application_page("", SUGGESTED)).await;
    list.unwrap_or_default().into_iter().map(|one| one.name).collect()
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
    keys: Vec<KeyView>,
    more_keys: bool,
    events: Vec<EventView>,
}

pub(crate) async fn application(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(name): Path<String>,
) -> PageResult {
    let application = blocking(&web.engine, move |engine| engine.application(&name)).await;
    let application = application.map_err(trouble(&web, &owner))?;
    let of_application = KeyFilter {
        application: Some(application.name.clone()),
        limit: KEYS_SHOWN + 1,
        ..KeyFilter::default()
    };
    let listed = carry_out(&web.engine, Command::ListKeys(of_application), owner.actor()).await;
    let mut keys = match listed.map_err(trouble(&web, &owner))? {
        Answer::Keys(keys) => keys,
        _ => Vec::new(),
    };
    let more_keys = keys.len() > KEYS_SHOWN as usize;
    keys.truncate(KEYS_SHOWN as usize);
    let filter = EventFilter {
        application: Some(application.name.clone()),
        limit: EVENTS_SHOWN,
        ..EventFilter::default()
    };
    let listed = carry_out(&web.engine, Command::ListEvents(filter), owner.actor()).await;
    let events = match listed.map_err(trouble(&web, &owner))? {
        Answer::Events(events) => events,
        _ => Vec::new(),
    };
    Ok(page(&ApplicationPage {
        frame: Frame::of(&web, &owner, Screen::Applications, &application.name),
        clock: clock(&web),
        is_active: application.state == ApplicationState::Active,
        plans: plans_of_keys(&web),
        plan_hint: "New keys get this plan, and so do its keys that are on its present one. Keys with a plan of their own keep it.",
        application,
        keys,
        more_keys,
        events,
    }))
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

fn path(name: &str) -> String {
    format!("/applications/{}", crate::form::path_segment(name))
}

async fn set_state(
    web: &Arc<Web>,
    owner: &SignedIn,
    name: String,
    state: ApplicationState,
) -> Response {
    let back = path(&name);
    act(web, owner, Command::SetApplicationState { application: name, state }, &back, None).await
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
    let command = Command::ChangeApplicationPlan { application: name, plan: form.plan };
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
    let command = Command::SetApplicationNote { application: name, note: lines(&form.note) };
    act_typed(&web, &owner, command, &back, None, typed).await
}
