//! The access token is in no URL and no message, whatever the portal does with it.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keystile_threescale::portal::error::PortalError;
use keystile_threescale::portal::records::{Credential, Environment, ServiceId};
use keystile_threescale::portal::settings::PortalSettings;
use keystile_threescale::portal::{ApplicationReference, PortalClient};
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::State;
use serde_json::json;

use crate::setup::{TOKEN, TestPortal, tenant};

/// Everything that an error shows, with its causes.
fn shown(error: &dyn std::error::Error) -> String {
    let mut text = format!("{error} {error:?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

fn holds_no_secret(text: &str) {
    let encoded = STANDARD.encode(format!("{TOKEN}:"));
    for secret in [TOKEN, &encoded] {
        assert!(!text.contains(secret), "{text}");
        // Nor the start of it, where a text is cut.
        assert!(!text.contains(&secret[..16]), "{text}");
    }
}

/// Faults that put the token into every place where something is quoted from.
fn echoes() -> Vec<Fault> {
    let encoded = STANDARD.encode(format!("{TOKEN}:"));
    let both = format!("{TOKEN} {encoded}");
    let said = |status| Fault::json(status, &json!({ "error": both }).to_string());
    let long = format!("{}{TOKEN}", "x".repeat(290));
    let mut faults = [400, 401, 403, 404, 408, 409, 422, 429, 500, 503].map(said).to_vec();
    faults.extend([
        Fault::of(500, &[("content-type", "text/plain")], &both),
        Fault::of(500, &[("content-type", "text/plain")], &long),
        Fault::json(422, &json!({ "errors": { TOKEN: [encoded] } }).to_string()),
        Fault::redirect(&format!("https://elsewhere.example/{TOKEN}?access_token={TOKEN}")),
        Fault::redirect(&format!("https://{TOKEN}@elsewhere.example/")),
        Fault::of(200, &[("content-type", TOKEN)], ""),
        Fault::json(200, TOKEN),
        Fault::json(200, &json!({ "services": [{ "service": { "id": TOKEN } }] }).to_string()),
        Fault::json(200, &json!({ "services": [{ TOKEN: 1 }] }).to_string()),
        Fault::json(200, &json!({ "services": TOKEN }).to_string()),
        Fault::CutBody,
        Fault::CutHead,
        Fault::EndlessBody,
        Fault::web_page(200),
    ]);
    faults
}

/// The name of an error's variant. A new one has to be made by the test below.
fn name(error: &PortalError) -> &'static str {
    match error {
        PortalError::Token(_) => "token",
        PortalError::Unauthorized { .. } => "unauthorized",
        PortalError::NotFound { .. } => "not found",
        PortalError::InvalidTransition { .. } => "invalid transition",
        PortalError::Refused { .. } => "refused",
        PortalError::RateLimited { .. } => "rate limited",
        PortalError::ServerError { .. } => "server error",
        PortalError::Unreachable { .. } => "unreachable",
        PortalError::Untrusted { .. } => "untrusted",
        PortalError::TimedOut { .. } => "timed out",
        PortalError::Cut { .. } => "cut",
        PortalError::Redirected { .. } => "redirected",
        PortalError::WebPage { .. } => "web page",
        PortalError::NotJson { .. } => "not JSON",
        PortalError::Unreadable { .. } => "unreadable",
        PortalError::TooLarge { .. } => "too large",
        PortalError::TooManyPages { .. } => "too many pages",
    }
}

const VARIANTS: usize = 17;

/// The error of a list for a client with other settings.
async fn failed_with(test: &TestPortal, change: impl FnOnce(&mut PortalSettings)) -> PortalError {
    let mut settings = test.settings();
    change(&mut settings);
    PortalClient::new(settings).unwrap().services().await.unwrap_err()
}

#[tokio::test]
async fn no_error_shows_the_token_even_when_the_portal_repeats_it() {
    let test = TestPortal::start().await;
    let mut errors = Vec::new();
    for fault in echoes() {
        test.portal.fail(fault);
        errors.push(test.client.services().await.unwrap_err());
    }
    for fault in echoes() {
        test.portal.tenant().application_mut(test.ids.application).state = State::Live;
        test.portal.fail_on("/suspend.json", fault);
        errors.extend(test.client.suspend(test.application()).await.err());
    }
    for page in 1..=200 {
        let metadata = json!({ "total_pages": 9999, "current_page": page, "a": TOKEN });
        let body = json!({ "services": [{ "service": { "id": page, "system_name": TOKEN } }],
            "metadata": metadata });
        test.portal.fail(Fault::json(200, &body.to_string()));
    }
    errors.push(test.client.services().await.unwrap_err());
    errors.push(failed_with(&test, |settings| settings.ca_file = None).await);
    errors.push(
        failed_with(&test, |settings| settings.address = "https://localhost:1".parse().unwrap())
            .await,
    );
    test.portal.fail(Fault::Slow(Duration::from_secs(30)));
    let limit = Duration::from_millis(100);
    errors.push(failed_with(&test, |settings| settings.total_timeout = limit).await);
    for text in [format!("{TOKEN} and more"), format!("{TOKEN}:x"), TOKEN.repeat(100)] {
        test.write_token(&text);
        errors.push(test.client.services().await.unwrap_err());
    }

    for error in &errors {
        holds_no_secret(&shown(error));
    }
    let names = errors.iter().map(name).collect::<BTreeSet<_>>();
    assert_eq!(names.len(), VARIANTS, "{names:?}");
}

#[tokio::test]
async fn the_token_is_in_no_target_and_does_not_print() {
    let (mut tenant, ids) = tenant();
    let content = json!({ "backend_authentication_value": "a-service-token" });
    tenant.add_config(ids.service, "production", content);
    let test = TestPortal::with(tenant, ids).await;
    test.client.suspend(test.application()).await.unwrap();
    test.client.access_tokens().await.unwrap();
    let service = ServiceId::new(ids.service);
    let config = test.client.proxy_config(service, Environment::Production).await.unwrap();
    assert!(!format!("{config:?}").contains("a-service-token"));
    for request in test.portal.take_received() {
        holds_no_secret(&format!("{request:?}"));
    }
    holds_no_secret(&format!("{:?} {:?}", test.client, test.settings()));
    holds_no_secret(&shown(&PortalClient::new(no_certificates(&test)).unwrap_err()));
}

fn no_certificates(test: &TestPortal) -> PortalSettings {
    let mut settings = test.settings();
    settings.ca_file = Some(test.file("token"));
    settings
}

#[tokio::test]
async fn a_user_key_is_in_no_message() {
    let test = TestPortal::start().await;
    let key = Credential::new("a-users-own-key".to_owned());
    let reference = ApplicationReference::UserKey(key);
    assert!(!format!("{reference:?}").contains("a-users-own-key"));
    let echo = r#"{"error":"no user_key a-users-own-key"}"#;
    for fault in [Fault::json(404, echo), Fault::json(500, echo), Fault::json(409, echo)] {
        test.portal.fail(fault);
        let error: PortalError = test.client.find_application(&reference, None).await.unwrap_err();
        assert!(!shown(&error).contains("a-users-own-key"), "{error:?}");
    }
    let reference = ApplicationReference::Id(test.application());
    let found = test.client.find_application(&reference, None).await.unwrap();
    let key = format!("key-{}", test.ids.application);
    assert_eq!(found.user_key.as_ref().map(Credential::reveal), Some(key.as_str()));
    assert!(!format!("{found:?}").contains(&key));
}
