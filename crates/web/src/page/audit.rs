//! The audit: who did what in Keystile, and whether the record is whole.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Response;
use keystile_engine::audit::AuditReport;
use keystile_engine::command::{EventFilter, EventView, Failure, FailureKind};
use keystile_engine::legacy::{Answer, Command};
use keystile_store::sqlite::audit::event::EventKind;
use serde::{Deserialize, Serialize};

use super::{Frame, PageResult, Screen, clock, filled, page, redirect};
use crate::carry_out::{blocking, carry_out};
use crate::flash::Flash;
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;

/// What the filter form asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
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
    asked: Asked,
    kinds: Vec<&'static str>,
    events: Vec<EventView>,
    mistake: Option<String>,
    next: Option<String>,
}

pub(crate) async fn audit(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(asked): Query<Asked>,
) -> PageResult {
    let asked = Asked {
        kind: filled(asked.kind),
        key: filled(asked.key),
        application: filled(asked.application),
        before: asked.before,
    };
    let filter = EventFilter {
        kind: asked.kind.clone(),
        key: asked.key.clone(),
        application: asked.application.clone(),
        before: asked.before,
        limit: PAGE,
        ..EventFilter::default()
    };
    let (events, mistake) =
        match carry_out(&web.engine, Command::ListEvents(filter), owner.actor()).await {
            Ok(Answer::Events(events)) => (events, None),
            Ok(_) => (Vec::new(), None),
            Err(failure) => (Vec::new(), Some(failure.message)),
        };
    let next = events.last().filter(|_| events.len() == PAGE as usize).map(|last| {
        let further = Asked { before: Some(last.id), ..asked.clone() };
        format!("/audit?{}", crate::form::encoded(&further))
    });
    Ok(page(&AuditPage {
        frame: Frame::of(&web, &owner, Screen::Audit, "Audit"),
        clock: clock(&web),
        kinds: EventKind::ALL.iter().map(|kind| kind.name()).collect(),
        asked,
        events,
        mistake,
        next,
    }))
}

pub(crate) async fn verify(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    let flash = match blocking(&web.engine, |engine| engine.verify_audit()).await {
        Ok(report) => verdict(&report),
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/audit")
}

fn verdict(report: &AuditReport) -> Flash {
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
