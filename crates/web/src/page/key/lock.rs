//! Locking and unlocking a key.

use std::sync::Arc;

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::time::Span;
use keystile_core::version::Expected;
use keystile_engine::keys::lock::{LockKey, UnlockKey};
use serde::Deserialize;

use super::confirm_for_key;
use crate::flash::{Typed, Undo};
use crate::page::{ConfirmPage, Frame, PageResult, Screen, act, act_typed, filled, refuse_form};
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

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
        Err(error) => return refuse_form(&web, &owner, &error, &back, typed),
    };
    let command = LockKey {
        key: id.clone(),
        level: form.level,
        reason: form.reason,
        for_millis: span.map(Span::millis),
        expected: Expected::Any,
    };
    let undo = Undo {
        label: "Unlock again",
        action: format!("/keys/{id}/unlock"),
        fields: vec![("budgets", "keep".to_owned())],
    };
    act_typed(&web, &owner, command, &back, Some(undo), typed).await
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
    let command = UnlockKey { key: id, budgets: Budgets::Keep, expected: Expected::Any };
    act(&web, &owner, command, &back, Some(undo)).await
}

/// Where a message leads whose key is locked: sign-in and proof come back to it.
pub(crate) async fn unlock_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm_for_key(&web, &owner, &id, |key| {
        let consequences = match &key.lock {
            Some(lock) => vec![
                format!("It was locked at {} for this: {}.", lock.since.readable(), lock.reason),
                "What it wrote still counts: a key that used its budget up locks again at its next write, \
                 until the window has passed or you reset its budgets."
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

pub(crate) async fn reset_budgets_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> PageResult {
    confirm_for_key(&web, &owner, &id, |key| ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Unlock and reset budgets"),
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
        button: "Unlock and reset budgets",
        tone: "primary",
        back: format!("/keys/{}", key.id),
    })
    .await
}

pub(crate) async fn reset_budgets(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> Response {
    let back = format!("/keys/{id}");
    let command = UnlockKey { key: id, budgets: Budgets::Reset, expected: Expected::Any };
    act(&web, &owner, command, &back, None).await
}
