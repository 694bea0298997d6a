//! Links in messages: a page that says what will happen, and a button. Opening the page changes nothing,
//! however often scanners fetch it; only the POST of a person acts, and signs nobody in.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use keystile_engine::command::KeyView;

use crate::format::filters;
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
    let asked = token.clone();
    let engine = web.engine.clone();
    let looked = tokio::task::spawn_blocking(move || engine.look_at_action(&asked)).await;
    let shown = empty(&token);
    match looked {
        Ok(Ok(offer)) => page_with(StatusCode::OK, &ActionPage { offer: Some(offer.key), ..shown }),
        Ok(Err(refusal)) => {
            let refusal = Some(refusal.to_string());
            page_with(StatusCode::GONE, &ActionPage { refusal, ..shown })
        }
        Err(error) => {
            tracing::error!(%error, "a link could not be looked at");
            let refusal = Some("the server failed while it looked at this link".to_owned());
            page_with(StatusCode::INTERNAL_SERVER_ERROR, &ActionPage { refusal, ..shown })
        }
    }
}

pub(crate) async fn act(State(web): State<Arc<Web>>, Path(token): Path<String>) -> Response {
    let shown = empty(&token);
    match web.engine.use_action(&token).await {
        Ok(done) => {
            let back = Some(format!("/keys/{}", done.key.id));
            page_with(StatusCode::OK, &ActionPage { said: Some(done.said), back, ..shown })
        }
        Err(failure) => {
            page_with(StatusCode::GONE, &ActionPage { refusal: Some(failure.message), ..shown })
        }
    }
}
