//! The admin API: everything that the console can do, as JSON.
//!
//! Handlers are thin: they take a [`caller::Caller`] with the scope that they need, build a command or ask
//! the engine, and answer with its own views, which are what the command line prints with `--json`. The
//! description of the API (`/api/openapi.json`) is made from the same code, so every operation is in it.

#![expect(unused_qualifications, reason = "the descriptions of operations are written by a macro")]

mod answer;
mod application;
mod audit;
pub(crate) mod backup;
pub(crate) mod caller;
mod channel;
mod delivery;
mod device;
mod docs;
pub(crate) mod events;
mod input;
mod key;
mod limits;
mod listed;
mod owner;
mod policy;
pub(crate) mod problem;
mod record;
mod source;
mod status;
mod token;

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::RefOr;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::caller::{Caller, Read};
use crate::web::Web;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Keystile admin API",
        description = "Everything that the owner's console can do. Show a token with \
            `Authorization: Bearer kst_...`; each operation says which scope the token needs: `read`, \
            `write` (which includes `read`) or `admin` (which includes both). What is not done is answered \
            with problem details (RFC 9457).",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    tags(
        (name = "status", description = "How the server is, and what happens right now."),
        (name = "applications", description = "Who has keys."),
        (name = "keys", description = "Keys: issue, lock, unlock, roll, revoke."),
        (name = "records", description = "The journal of writes."),
        (name = "audit", description = "What was done in Keystile, and by whom."),
        (name = "owners", description = "Who signs in at the console."),
        (name = "tokens", description = "What programs show to this API."),
        (name = "policy", description = "Plans and what they allow. The configuration file stays the source."),
        (name = "sources", description = "Systems that issue keys and stay in charge of them, and where they and Keystile differ."),
        (name = "deliveries", description = "What is told to whom: channels, deliveries, devices."),
        (name = "backups", description = "Copies of the store."),
    ),
    components(schemas(problem::ProblemBody)),
)]
struct Description;

/// The operations, each with its part of the description.
fn operations() -> OpenApiRouter<Arc<Web>> {
    OpenApiRouter::new()
        .routes(routes!(status::status))
        .routes(routes!(status::budget_warnings))
        .routes(routes!(status::hours))
        .routes(routes!(status::diagnosis))
        .routes(routes!(events::stream))
        .routes(routes!(application::list, application::create))
        .routes(routes!(application::show, application::change))
        .routes(routes!(application::suspend))
        .routes(routes!(application::resume))
        .routes(routes!(application::unlock))
        .routes(routes!(application::plan_budgets))
        .routes(routes!(key::list, key::create))
        .routes(routes!(key::show, key::change))
        .routes(routes!(key::activity))
        .routes(routes!(key::lock))
        .routes(routes!(key::unlock))
        .routes(routes!(key::roll))
        .routes(routes!(key::revoke))
        .routes(routes!(record::list))
        .routes(routes!(record::export))
        .routes(routes!(record::show))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verification))
        .routes(routes!(owner::list))
        .routes(routes!(owner::link))
        .routes(routes!(owner::remove))
        .routes(routes!(token::list, token::create))
        .routes(routes!(token::revoke))
        .routes(routes!(policy::policy))
        .routes(routes!(policy::reload))
        .routes(routes!(source::list))
        .routes(routes!(source::synchronize))
        .routes(routes!(source::take))
        .routes(routes!(channel::list))
        .routes(routes!(channel::test))
        .routes(routes!(channel::resume_digests))
        .routes(routes!(delivery::list))
        .routes(routes!(delivery::show))
        .routes(routes!(delivery::resend))
        .routes(routes!(device::list))
        .routes(routes!(device::test))
        .routes(routes!(device::remove))
        .routes(routes!(backup::create))
        .routes(routes!(backup::last))
}

/// The description as JSON, the same for as long as the program runs.
fn description() -> &'static str {
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        let (_, operations) = operations().split_for_parts();
        let mut whole = Description::openapi().nest("/api/v1", operations);
        describe_answers(&mut whole);
        let components = whole.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("kst_...");
        let cookie = ApiKeyValue::with_description(
            "__Host-keystile-00000000",
            "An owner who is signed in at the console. Has every scope; for what needs `admin` they \
             must have authenticated a few minutes ago at most. The name ends in eight digits of each \
             console's own; without TLS it begins with `keystile-`.",
        );
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        // Only our own descriptions are in it, which always serialize.
        let mut whole = serde_json::to_value(&whole).unwrap_or_default();
        limits::describe(&mut whole);
        format!("{whole:#}")
    });
    &TEXT
}

async fn show_description(State(_): State<Arc<Web>>, _: Caller<Read>) -> Response {
    ([(CONTENT_TYPE, "application/json")], description()).into_response()
}

/// An answer has to have a description: what the operation does, where it has none of its own.
fn describe_answers(whole: &mut utoipa::openapi::OpenApi) {
    for item in whole.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let summary = operation.summary.clone().unwrap_or_default();
            for answer in operation.responses.responses.values_mut() {
                if let RefOr::T(answer) = answer
                    && answer.description.is_empty()
                {
                    answer.description.clone_from(&summary);
                }
            }
        }
    }
}

/// Everything under `/api`.
pub(crate) fn router() -> Router<Arc<Web>> {
    let (operations, _) = operations().split_for_parts();
    let operations = operations.method_not_allowed_fallback(problem::no_such_method);
    Router::new()
        .route("/openapi.json", get(show_description))
        .route("/docs", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .method_not_allowed_fallback(problem::no_such_method)
        .nest("/v1", operations)
        .fallback(problem::no_such_path)
        .layer(DefaultBodyLimit::max(input::BODY_BYTES_MAX))
}
