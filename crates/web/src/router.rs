//! Every route, grouped by who may use it.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use tower_http::compression::CompressionLayer;

use crate::links::{action, stop};
use crate::page::{
    application, application_lock, audit, delivery, find, journal, key, now, policy, settings,
    source,
};
use crate::web::Web;
use crate::{api, asset, device, guard, health, hook, sign_in};

/// The largest body; forms are small, and anybody may send one.
const BODY_BYTES_MAX: usize = 64 * 1024;

/// The console, ready to be served.
#[expect(clippy::too_many_lines, reason = "every route stands on one page")]
pub fn router(web: Arc<Web>) -> Router {
    let guarded = Router::new()
        .route("/assets/{name}", get(asset::asset))
        .route("/service-worker.js", get(asset::service_worker))
        // For whoever has a link from a message: a page, and the button on it.
        .route("/action/{token}", get(action::look).post(action::act))
        .route("/stop/{token}", get(stop::look).post(stop::act))
        // For people who are about to sign in, or to become an owner.
        .route("/sign-in", get(sign_in::sign_in).post(sign_in::with_password))
        .route("/sign-in/passkey/begin", post(sign_in::begin_passkey))
        .route("/sign-in/passkey", post(sign_in::with_passkey))
        .route("/recover", post(sign_in::with_recovery_code))
        .route("/claim/{secret}", get(sign_in::claim).post(sign_in::claim_with_password))
        .route("/claim/{secret}/passkey/begin", post(sign_in::begin_claim))
        .route("/claim/{secret}/passkey", post(sign_in::claim_with_passkey))
        .route("/sign-out", post(sign_in::sign_out))
        // For owners who are signed in: their handlers take a `SignedIn`, or `RecentlyAuthenticated` for what
        // cannot easily be undone.
        .route("/", get(now::now))
        .route("/find", post(find::find))
        .route("/journal", get(journal::journal))
        .route("/journal/export", get(journal::export))
        .route("/journal/{id}", get(journal::record))
        .route("/keys", get(key::list::keys).post(key::create::create))
        .route("/keys/new", get(key::create::new_key))
        .route("/keys/{id}", get(key::show::key))
        .route("/keys/{id}/lock", post(key::lock::lock))
        .route("/keys/{id}/unlock", get(key::lock::unlock_page).post(key::lock::unlock))
        .route(
            "/keys/{id}/more-room",
            get(key::lock::reset_budgets_page).post(key::lock::reset_budgets),
        )
        .route("/keys/{id}/roll", post(key::create::roll))
        .route("/keys/{id}/revoke", get(key::edit::revoke_page).post(key::edit::revoke))
        .route("/keys/{id}/plan", post(key::edit::change_plan))
        .route("/keys/{id}/note", post(key::edit::set_note))
        .route("/applications", get(application::applications))
        .route("/applications/{name}", get(application::application))
        .route(
            "/applications/{name}/suspend",
            get(application::suspend_page).post(application::suspend),
        )
        .route("/applications/{name}/resume", post(application::resume))
        .route(
            "/applications/{name}/unlock",
            get(application_lock::unlock_page).post(application_lock::unlock),
        )
        .route(
            "/applications/{name}/more-room",
            get(application_lock::reset_budgets_page).post(application_lock::reset_budgets),
        )
        .route("/applications/{name}/plan", post(application::change_plan))
        .route("/applications/{name}/note", post(application::set_note))
        .route("/policy", get(policy::policy))
        .route("/policy/reload", post(policy::reload))
        .route("/sources", get(source::sources))
        .route("/sources/{source}/synchronize", post(source::synchronize))
        .route(
            "/sources/{source}/deletions",
            get(source::deletions_page).post(source::follow_deletions),
        )
        .route("/sources/{source}/take", post(source::take))
        .route(
            "/sources/{source}/take/{difference}/{side}",
            get(source::take_page).post(source::take_final),
        )
        .route("/deliveries", get(delivery::deliveries))
        .route("/deliveries/{id}", get(delivery::delivery))
        .route("/deliveries/{id}/resend", post(delivery::resend))
        .route("/channels/{name}/test", post(delivery::test))
        .route("/channels/{name}/resume", post(delivery::resume_digests))
        .route("/audit", get(audit::audit))
        .route("/audit/verify", post(audit::verify))
        .route("/prove", get(sign_in::prove).post(sign_in::prove_with_password))
        .route("/prove/passkey", post(sign_in::prove_with_passkey))
        .route("/settings", get(settings::settings))
        .route("/settings/passkeys/begin", post(sign_in::begin_adding))
        .route("/settings/passkeys", get(settings::back).post(sign_in::add_passkey))
        .route("/settings/passkeys/{id}/remove", get(settings::back).post(settings::remove_passkey))
        .route("/settings/password", get(settings::back).post(settings::set_password))
        .route("/settings/codes", get(settings::back).post(settings::make_codes))
        .route("/settings/owners", get(settings::back).post(settings::invite))
        .route(
            "/settings/owners/{name}/remove",
            get(settings::remove_owner_page).post(settings::remove_owner),
        )
        .route("/settings/sessions/end", post(settings::end_sessions))
        .route("/settings/sessions/{id}/end", post(settings::end_session))
        .route("/settings/tokens", get(settings::back).post(settings::create_token))
        .route("/settings/tokens/{id}/revoke", post(settings::revoke_token))
        .route("/settings/devices", post(device::subscribe))
        .route("/settings/devices/{id}/test", post(device::test))
        .route("/settings/devices/{id}/remove", post(device::remove))
        .route("/settings/backup", post(settings::back_up))
        .route("/settings/diagnose", post(settings::diagnose))
        // For programs with a token, and for owners who are signed in: their handlers take a `Caller`.
        .nest("/api", api::router())
        .route("/api/", any(api::problem::no_such_path))
        .layer(from_fn_with_state(web.clone(), guard::stand_guard));
    Router::new()
        // For machines that reach the address under whatever name, orchestrators and Prometheus: their
        // handlers take a `HealthReader` or a `MetricsReader`.
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        // For systems that issue keys: the secret in the path is what they show.
        .route("/hooks/keys/{secret}", post(hook::take))
        .merge(guarded)
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(web)
}
