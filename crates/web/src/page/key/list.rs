//! The list of keys.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Query, State};
use keystile_engine::keys::key::{KeyFilter, KeyView, ListKeys};
use serde::{Deserialize, Serialize};

use crate::format::filters;
use crate::format::when::Clock;
use crate::page::{Frame, PageResult, Screen, clock, filled, page, plans_of_keys};
use crate::sign_in::session::SignedIn;
use crate::web::Web;

const PAGE: u32 = 50;

/// What the filter form asks for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct KeyQuery {
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
    query: KeyQuery,
    is_filtered: bool,
    plans: Vec<String>,
    keys: Vec<KeyView>,
    mistake: Option<String>,
    next: Option<String>,
}

pub(crate) async fn keys(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<KeyQuery>,
) -> PageResult {
    let query = KeyQuery {
        application: filled(query.application),
        plan: filled(query.plan),
        state: filled(query.state),
        after: filled(query.after),
    };
    let filter = KeyFilter {
        application: query.application.clone(),
        plan: query.plan.clone(),
        locked_on: None,
        state: query.state.clone(),
        after: query.after.clone(),
        limit: PAGE,
        ..KeyFilter::default()
    };
    let listed = web.engine.execute(&owner.principal(), ListKeys { filter }).await;
    let (keys, mistake) = match listed {
        Ok(keys) => (keys, None),
        Err(failure) => (Vec::new(), Some(failure.message)),
    };
    let next = keys.last().filter(|_| keys.len() == PAGE as usize).map(|last| {
        let further = KeyQuery { after: Some(last.id.clone()), ..query.clone() };
        format!("/keys?{}", crate::form::encoded(&further))
    });
    Ok(page(&KeysPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Keys"),
        clock: clock(&web),
        is_filtered: query.application.is_some() || query.plan.is_some() || query.state.is_some(),
        plans: plans_of_keys(&web),
        query,
        keys,
        mistake,
        next,
    }))
}
