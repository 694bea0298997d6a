//! Key sources: how they stand, where they and Keystile differ, and what they are asked for.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::difference::{Difference, Side, TakeableSide};
use keystile_engine::keys::source::{Deletions, KeySourceView, SyncReport, SyncWanted};
use keystile_engine::keys::source_command::{ListKeySources, SyncKeySources, TakeSide};
use serde::Deserialize;

use super::{ConfirmPage, Frame, PageResult, Screen, act, clock, failure_page, page, redirect};
use crate::flash::Flash;
use crate::form::path_segment;
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

const BACK: &str = "/sources";

#[derive(Template)]
#[template(path = "sources.html")]
struct SourcesPage {
    frame: Frame,
    clock: Clock,
    sources: Vec<KeySourceView>,
}

pub(crate) async fn sources(State(web): State<Arc<Web>>, owner: SignedIn) -> PageResult {
    let listed = web.engine.execute(&owner.principal(), ListKeySources).await;
    let sources = listed.map_err(failure_page(&web, &owner))?;
    Ok(page(&SourcesPage {
        frame: Frame::of(&web, &owner, Screen::Sources, "Key sources"),
        clock: clock(&web),
        sources,
    }))
}

async fn synchronize_with(
    web: &Arc<Web>,
    owner: &SignedIn,
    source: String,
    deletions: Deletions,
) -> Response {
    let wanted = SyncWanted { deletions, ..SyncWanted::default() };
    let sync = SyncKeySources { source: Some(source.clone()), wanted };
    let flash = match web.engine.execute(&owner.principal(), sync).await {
        Ok(reports) => Flash::done(reports.iter().map(sentence).collect::<Vec<_>>().join("\n")),
        Err(failure) => failed(&source, &failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect(BACK)
}

/// That a source could not be read. Why stands with it on the page.
fn failed(source: &str, failure: &Failure) -> Flash {
    match failure.kind {
        FailureKind::Missing | FailureKind::Forbidden => Flash::failed(failure),
        FailureKind::Invalid
        | FailureKind::Conflict
        | FailureKind::Stale
        | FailureKind::Unavailable
        | FailureKind::Fault => {
            let message = format!("{source} was not synchronized; the reason is below.");
            Flash::failed(&Failure { message, ..failure.clone() })
        }
    }
}

/// What a synchronization did.
fn sentence(report: &SyncReport) -> String {
    let changed = match report.changed {
        0 => "nothing had changed".to_owned(),
        1 => "one change was followed".to_owned(),
        count => format!("{count} changes were followed"),
    };
    let left = match report.left {
        0 => String::new(),
        _ => "; what could not come over is below".to_owned(),
    };
    format!("Read {} to the end: {changed}{left}.", report.source)
}

pub(crate) async fn synchronize(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(source): Path<String>,
) -> Response {
    synchronize_with(&web, &owner, source, Deletions::Guarded).await
}

pub(crate) async fn deletions_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(source): Path<String>,
) -> PageResult {
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Sources, "Follow what is gone"),
        subject: format!("The keys of everything that is gone in {source} will be revoked."),
        consequences: vec![
            "The source is read once more; what is there again stays.".to_owned(),
            "Every call with a revoked key will be refused from the next request on.".to_owned(),
            "This cannot be taken back. Where the source shows less than it has, for example because \
             a token lost a right, mend that instead."
                .to_owned(),
        ],
        action: format!("/sources/{}/deletions", path_segment(&source)),
        fields: Vec::new(),
        button: "Revoke for good what is gone",
        tone: "danger",
        back: BACK.to_owned(),
    }))
}

pub(crate) async fn follow_deletions(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(source): Path<String>,
) -> Response {
    synchronize_with(&web, &owner, source, Deletions::Confirmed).await
}

#[derive(Debug, Deserialize)]
pub(crate) struct SideForm {
    difference: String,
    side: Side,
}

/// Takes a side. One that is final has a page before it that asks.
pub(crate) async fn take(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(source): Path<String>,
    Form(SideForm { difference, side }): Form<SideForm>,
) -> PageResult {
    let shown = find(&web, &owner, &source, (&difference, side)).await?;
    if shown.is_some_and(|(_, takeable)| takeable.is_final()) {
        return Ok(redirect(&final_path(&source, &difference, side)));
    }
    Ok(act(&web, &owner, TakeSide { source, difference, side }, BACK, None).await)
}

fn final_path(source: &str, difference: &str, side: Side) -> String {
    format!("/sources/{}/take/{}/{side}", path_segment(source), path_segment(difference))
}

/// A difference that is shown, where a side of it can be taken.
async fn find(
    web: &Arc<Web>,
    owner: &SignedIn,
    source: &str,
    (id, side): (&str, Side),
) -> Result<Option<(Difference, TakeableSide)>, super::FailedPage> {
    let listed = web.engine.execute(&owner.principal(), ListKeySources).await;
    let sources = listed.map_err(failure_page(web, owner))?;
    let shown = sources.iter().find(|shown| shown.source == source);
    let takeable = shown.and_then(|shown| shown.takeable(id, side));
    Ok(takeable.map(|(shown, takeable)| (shown.clone(), takeable.clone())))
}

pub(crate) async fn take_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path((source, difference, side)): Path<(String, String, Side)>,
) -> PageResult {
    let Some((shown, takeable)) = find(&web, &owner, &source, (&difference, side)).await? else {
        return Err(failure_page(&web, &owner)(Failure {
            kind: FailureKind::Missing,
            message: "there is no such difference any more; nothing was done".to_owned(),
            help: Some("look at the key sources again".to_owned()),
        }));
    };
    let mut consequences = vec![format!("There: {}", shown.there), format!("Here: {}", shown.here)];
    if takeable.is_final() {
        consequences.push("This cannot be taken back.".to_owned());
    }
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Sources, "Take a side"),
        subject: format!("{}: {}.", shown.application, takeable.does),
        consequences,
        action: final_path(&source, &difference, side),
        fields: Vec::new(),
        button: if takeable.is_final() { "Do it for good" } else { "Do it" },
        tone: if takeable.is_final() { "danger" } else { "primary" },
        back: BACK.to_owned(),
    }))
}

pub(crate) async fn take_final(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path((source, difference, side)): Path<(String, String, Side)>,
) -> Response {
    act(&web, &owner, TakeSide { source, difference, side }, BACK, None).await
}
