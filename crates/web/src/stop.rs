//! Ending digests from a mail: a page with a button for people, and the same POST for mail programs that
//! have a button of their own (RFC 8058). Opening the page changes nothing, and nobody is signed in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use keystile_engine::digest_stop::StopOffer;

use crate::carry_out::blocking;
use crate::filters;
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

fn shown(web: &Web, token: &str, found: Result<StopOffer, String>) -> Response {
    let (status, offer, refusal) = match found {
        Ok(offer) => (StatusCode::OK, Some(offer), None),
        Err(refusal) => (StatusCode::GONE, None, Some(refusal)),
    };
    let frame = Frame::bare(web, Screen::Other, "Stop digests");
    page_with(status, &StopPage { frame, token: crate::form::path_segment(token), offer, refusal })
}

pub(crate) async fn look(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    let asked = token.clone();
    let looked = blocking(&web.engine, move |engine| Ok(engine.look_at_stop(&asked))).await;
    let found = match looked {
        Ok(looked) => looked.map_err(|refusal| refusal.to_string()),
        Err(failure) => Err(failure.message),
    };
    shown(&web, &token, found)
}

pub(crate) async fn act(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    let found = web.engine.use_stop(&token).await.map_err(|failure| failure.message);
    shown(&web, &token, found)
}
