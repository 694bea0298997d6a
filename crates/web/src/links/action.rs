//! Links in messages: a page that says what will happen, and a button. Opening the page changes nothing,
//! however often scanners fetch it; only the POST of a person acts, and signs nobody in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use keystile_engine::command::Failure;
use keystile_engine::keys::key::KeyView;

use crate::format::filters;
use crate::links::status_of;
use crate::page::{Frame, Screen, page_with};
use crate::web::Web;

#[derive(Template)]
#[template(path = "action.html")]
struct ActionPage {
    frame: Frame,
    token: String,
    /// What the link offers; `None` where it acts no more, or has just acted.
    offer: Option<KeyView>,
    said: Option<String>,
    refusal: Option<String>,
    back: Option<String>,
}

fn empty(token: &str) -> ActionPage {
    ActionPage {
        frame: Frame::bare(Screen::Other, "Lock a key"),
        token: crate::form::path_segment(token),
        offer: None,
        said: None,
        refusal: None,
        back: None,
    }
}

pub(crate) async fn look(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    match web.engine.look_at_action(&token).await {
        Ok(offer) => {
            page_with(StatusCode::OK, &ActionPage { offer: Some(offer.key), ..empty(&token) })
        }
        Err(failure) => refused(&token, failure),
    }
}

pub(crate) async fn act(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    match web.engine.use_action(&token).await {
        Ok(done) => {
            let back = Some(format!("/keys/{}", done.key.id));
            page_with(StatusCode::OK, &ActionPage { said: Some(done.said), back, ..empty(&token) })
        }
        Err(failure) => refused(&token, failure),
    }
}

fn refused(token: &str, failure: Failure) -> Response {
    let status = status_of(failure.kind);
    page_with(status, &ActionPage { refusal: Some(failure.message), ..empty(token) })
}
