//! Unlocking an application, and with it all of its keys.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use keystile_core::keys::lock::Budgets;
use keystile_core::version::Expected;
use keystile_engine::keys::application::{ApplicationView, ShowApplication};
use keystile_engine::keys::application_lock::UnlockApplication;

use super::application::path;
use super::{ConfirmPage, Frame, PageResult, Screen, act, failure_page, page};
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

/// Unlocks an application and keeps what was counted.
pub(crate) async fn unlock(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(application): Path<String>,
) -> Response {
    let back = path(&application);
    let (budgets, expected) = (Budgets::Keep, Expected::Any);
    act(&web, &owner, UnlockApplication { application, budgets, expected }, &back, None).await
}

/// Where a message leads whose application is locked: sign-in and proof come back to it.
pub(crate) async fn unlock_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(application): Path<String>,
) -> PageResult {
    let shown = web.engine.execute(&owner.principal(), ShowApplication { application }).await;
    let ApplicationView { name, lock, .. } = shown.map_err(failure_page(&web, &owner))?;
    let consequences = match &lock {
        Some(lock) => vec![
            format!("It was locked at {} for this: {}.", lock.since.readable(), lock.reason),
            "A key that carries a lock of its own keeps it.".to_owned(),
            "What its keys wrote still counts: where a budget is used up, the next write of any of them locks \
             the application again, until the window has passed or you reset the budgets."
                .to_owned(),
        ],
        None => vec!["It is not locked now; nothing would change.".to_owned()],
    };
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Applications, "Unlock"),
        subject: format!("All keys of {name} will be able to write again."),
        consequences,
        action: format!("{}/unlock", path(&name)),
        fields: Vec::new(),
        button: "Unlock",
        tone: "primary",
        back: path(&name),
    }))
}

pub(crate) async fn reset_budgets_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(application): Path<String>,
) -> PageResult {
    let shown = web.engine.execute(&owner.principal(), ShowApplication { application }).await;
    let ApplicationView { name, .. } = shown.map_err(failure_page(&web, &owner))?;
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Applications, "Unlock and reset budgets"),
        subject: format!(
            "All keys of {name} will write again, and the budgets that they share will begin anew."
        ),
        consequences: vec![
            "What they wrote stays on record, and will no longer count in those budgets.".to_owned(),
            "Within one window they may then write up to twice what the plan says.".to_owned(),
            "Budgets of each key go on, and so do budgets of the plan, which other applications share."
                .to_owned(),
        ],
        action: format!("{}/more-room", path(&name)),
        fields: Vec::new(),
        button: "Unlock and reset budgets",
        tone: "primary",
        back: path(&name),
    }))
}

pub(crate) async fn reset_budgets(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(application): Path<String>,
) -> Response {
    let back = path(&application);
    let (budgets, expected) = (Budgets::Reset, Expected::Any);
    act(&web, &owner, UnlockApplication { application, budgets, expected }, &back, None).await
}
