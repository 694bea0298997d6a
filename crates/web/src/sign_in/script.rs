//! What the script of a page gets that makes or shows a passkey.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use keystile_engine::command::Failure;
use serde::{Deserialize, Serialize};
use webauthn_rs::prelude::{PublicKeyCredential, RegisterPublicKeyCredential};

/// What a script begins a ceremony with.
#[derive(Serialize)]
struct Begun<T> {
    ceremony: String,
    options: T,
}

/// Where the script goes, or what went wrong.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Ended {
    To(String),
    Problem(String),
}

pub(super) fn begun<T: Serialize>(begun: Result<(String, T), Failure>) -> Response {
    match begun {
        Ok((ceremony, options)) => Json(Begun { ceremony, options }).into_response(),
        Err(failure) => failed(&failure),
    }
}

/// Leads to a page of the console.
pub(super) fn to(path: &str) -> Response {
    Json(Ended::To(path.to_owned())).into_response()
}

pub(super) fn failed(failure: &Failure) -> Response {
    let text = match &failure.help {
        Some(help) => format!("{}: {help}.", crate::format::capital(&failure.message)),
        None => failure.message.clone(),
    };
    (StatusCode::BAD_REQUEST, Json(Ended::Problem(text))).into_response()
}

/// A passkey that was shown.
#[derive(Deserialize)]
pub(crate) struct ShownPasskey {
    pub(super) ceremony: String,
    pub(super) credential: PublicKeyCredential,
    pub(super) next: Option<String>,
}

/// A passkey that was made.
#[derive(Deserialize)]
pub(crate) struct MadePasskey {
    pub(super) ceremony: String,
    pub(super) credential: RegisterPublicKeyCredential,
    name: Option<String>,
}

impl MadePasskey {
    /// What its owner calls it.
    pub(super) fn label(&self) -> String {
        let name = self.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        name.unwrap_or("passkey").to_owned()
    }
}
