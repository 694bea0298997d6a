//! Issuing a key, and a successor of a key: both lead to the new key's page, which shows its text once.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use keystile_core::time::Span;
use keystile_core::version::Expected;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::create::{CreateKeys, NewKey, RollKey};
use serde::Deserialize;

use crate::flash::{Flash, Secret, Typed};
use crate::format;
use crate::page::{
    Frame, PageResult, Screen, application, filled, page, plans_of_keys, redirect, refuse_form,
};
use crate::sign_in::session::SignedIn;
use crate::web::Web;

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewKeyPage {
    frame: Frame,
    application: Option<String>,
    applications: Vec<String>,
    /// Names with their rules in words.
    plans: Vec<(String, String)>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct ForApplication {
    application: Option<String>,
}

pub(crate) async fn new_key(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Query(query): Query<ForApplication>,
) -> PageResult {
    let policy = web.engine.policy();
    let plans = plans_of_keys(&web)
        .into_iter()
        .map(|name| {
            let spec = policy.plan(&name).map(|plan| format::plan(plan.spec()).join(". "));
            (name, spec.unwrap_or_default())
        })
        .collect();
    let applications = application::names(&web, &owner).await;
    Ok(page(&NewKeyPage {
        frame: Frame::of(&web, &owner, Screen::Keys, "Create a key"),
        application: filled(query.application),
        applications,
        plans,
    }))
}

#[derive(Debug, Deserialize)]
pub(crate) struct NewKeyForm {
    application: String,
    plan: String,
}

pub(crate) async fn create(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Form(form): Form<NewKeyForm>,
) -> Response {
    let typed = Typed {
        form: "create",
        fields: vec![("application", form.application.clone()), ("plan", form.plan.clone())],
    };
    let command = CreateKeys {
        application: form.application.trim().to_owned(),
        plan: Some(form.plan),
        count: 1,
    };
    let created = web.engine.execute(&owner.principal(), command).await;
    let first = created.and_then(|keys| keys.into_iter().next().ok_or_else(no_key));
    show_new_key(&web, &owner, first, "/keys/new", typed)
}

fn no_key() -> Failure {
    Failure { kind: FailureKind::Fault, message: "no key was issued".to_owned(), help: None }
}

/// Leads to the page of a key that was just issued, which shows it once.
fn show_new_key(
    web: &Web,
    owner: &SignedIn,
    issued: Result<NewKey, Failure>,
    otherwise: &str,
    typed: Typed,
) -> Response {
    match issued {
        Ok(key) => {
            let secret = Secret {
                label: format!(
                    "The key of {}, shown only now. Keep it where only {} can read it.",
                    key.application, key.application
                ),
                text: key.key,
                example: key.example,
            };
            let flash = Flash {
                secrets: vec![secret],
                ..Flash::done(format!("Created a key for {}.", key.application))
            };
            web.flashes.put(owner.session(), flash);
            redirect(&format!("/keys/{}", key.id))
        }
        Err(failure) => {
            let flash = Flash { typed: Some(typed), ..Flash::failed(&failure) };
            web.flashes.put(owner.session(), flash);
            redirect(otherwise)
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct RollForm {
    grace: String,
}

pub(crate) async fn roll(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
    Form(form): Form<RollForm>,
) -> Response {
    let back = format!("/keys/{id}");
    let typed = Typed { form: "roll", fields: vec![("grace", form.grace.clone())] };
    match form.grace.trim().parse::<Span>() {
        Ok(grace) => {
            let expected = Expected::Any;
            let command = RollKey { key: id, grace_millis: grace.millis(), expected };
            let rolled = web.engine.execute(&owner.principal(), command).await;
            show_new_key(&web, &owner, rolled, &back, typed)
        }
        Err(error) => refuse_form(&web, &owner, &error, &back, typed),
    }
}
