//! Revoking a key, changing its plan, and noting something about it.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use keystile_core::version::Expected;
use keystile_engine::keys::edit::{ChangeKeyPlan, RevokeKey, SetKeyNote};

use super::confirm_for_key;
use crate::flash::Typed;
use crate::page::{
    ConfirmPage, Frame, NoteForm, PageResult, PlanForm, Screen, act, act_typed, lines,
};
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

pub(crate) async fn revoke_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm_for_key(&web, &owner, &id, |key| ConfirmPage {
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
    let command = RevokeKey { key: id, expected: Expected::Any };
    act(&web, &owner, command, &back, None).await
}

pub(crate) async fn change_plan(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<PlanForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "plan", fields: vec![("plan", form.plan.clone())] };
    let command = ChangeKeyPlan { key: id, plan: form.plan, expected: Expected::Any };
    act_typed(&web, &owner, command, &back, None, typed).await
}

pub(crate) async fn set_note(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<NoteForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "note", fields: vec![("note", form.note.clone())] };
    let command = SetKeyNote { key: id, note: lines(&form.note), expected: Expected::Any };
    act_typed(&web, &owner, command, &back, None, typed).await
}
