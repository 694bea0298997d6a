//! Ending digests from a mail: a page with a button for people, and the same POST for mail programs that
//! have a button of their own (RFC 8058). Opening the page changes nothing, and nobody is signed in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use keystile_engine::command::Failure;
use keystile_engine::notifications::stop_digests::StopOffer;

use crate::format::filters;
use crate::links::status_of;
use crate::page::{Frame, Screen, page_with};
use crate::web::Web;

#[derive(Template)]
#[template(path = "stop.html")]
struct StopPage {
    frame: Frame,
    token: String,
    offer: Option<StopOffer>,
    refusal: Option<String>,
}

fn shown(token: &str, found: Result<StopOffer, Failure>) -> Response {
    let (status, offer, refusal) = match found {
        Ok(offer) => (StatusCode::OK, Some(offer), None),
        Err(failure) => (status_of(failure.kind), None, Some(failure.message)),
    };
    let frame = Frame::bare(Screen::Other, "Stop digests");
    page_with(status, &StopPage { frame, token: crate::form::path_segment(token), offer, refusal })
}

pub(crate) async fn look(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    shown(&token, web.engine.stop_offer(&token).await)
}

pub(crate) async fn act(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    shown(&token, web.engine.use_stop(&token).await)
}
