//! The audit: who did what in Keystile, and whether the record is whole.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use keystile_core::audit::AuditEvent;
use keystile_engine::audit::{AuditReport, EventFilter, ListEvents, VerifyAudit};
use keystile_engine::command::{Failure, FailureKind};
use keystile_store::audit::EventKind;
use serde::{Deserialize, Serialize};

use super::{Frame, PageResult, Screen, clock, filled, page, redirect};
use crate::flash::Flash;
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;

/// What the filter form asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct AuditQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    application: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<i64>,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    clock: Clock,
    query: AuditQuery,
    kinds: Vec<&'static str>,
    events: Vec<AuditEvent>,
    mistake: Option<String>,
    next: Option<String>,
}

pub(crate) async fn audit(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<AuditQuery>,
) -> PageResult {
    let query = AuditQuery {
        kind: filled(query.kind),
        key: filled(query.key),
        application: filled(query.application),
        before: query.before,
    };
    let filter = EventFilter {
        kind: query.kind.clone(),
        key: query.key.clone(),
        application: query.application.clone(),
        before: query.before,
        limit: PAGE,
        ..EventFilter::default()
    };
    let listed = web.engine.execute(&owner.principal(), ListEvents { filter }).await;
    let (events, mistake) = match listed {
        Ok(events) => (events, None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    let next = events.last().filter(|_| events.len() == PAGE as usize).map(|last| {
        let further = AuditQuery { before: Some(last.id), ..query.clone() };
        format!("/audit?{}", crate::form::encoded(&further))
    });
    Ok(page(&AuditPage {
        frame: Frame::of(&web, &owner, Screen::Audit, "Audit"),
        clock: clock(&web),
        kinds: EventKind::ALL.iter().map(|kind| kind.name()).collect(),
        query,
        events,
        mistake,
        next,
    }))
}

pub(crate) async fn verify(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    let flash = match web.engine.execute(&owner.principal(), VerifyAudit).await {
        Ok(report) => check_result(&report),
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/audit")
}

fn check_result(report: &AuditReport) -> Flash {
    let AuditReport { older, count, head, fault } = report;
    if let Some(fault) = fault {
        return Flash::failed(&Failure {
            kind: FailureKind::Invalid,
            message: format!(
                "The audit was changed: {}. {count} events before that are sound.",
                fault.problem
            ),
            help: Some(
                "Compare with a backup, and with the count and head that you kept elsewhere."
                    .to_owned(),
            ),
        });
    }
    let older = match older {
        0 => String::new(),
        older => format!(" {older} older ones are from before the chain."),
    };
    Flash::done(format!(
        "The audit is whole: {count} events.{older} Keep the count elsewhere together with its head, {head}."
    ))
}
