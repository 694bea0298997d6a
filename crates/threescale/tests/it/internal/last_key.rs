//! What holds of an application whose keys are gone.

use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::{Budgets, LockTarget};
use keystile_core::owners::principal::Principal;
use keystile_core::version::Expected;
use keystile_engine::keys::application_edit::{ChangeApplicationPlan, SetApplicationState};
use keystile_store::applications::ApplicationEdit;
use keystile_store::keys::KeyEdit;
use serde_json::json;

use super::mirror::{APPS, mirrored};
use crate::fixture::{Backend, PROVIDER};

impl Backend {
    pub(super) async fn unlock_application(&self, name: &str) {
        let application = name.to_owned();
        let edit = ApplicationEdit { application, expected: Expected::Any, actor: Actor::System };
        assert!(self.store.unlock_application(edit, Budgets::Keep).await.unwrap().was_locked);
    }

    fn add_key(&self, key: &str) {
        let key = json!({"application_key": {"value": key}});
        assert_eq!(self.put("POST", &format!("{APPS}/a/keys"), key).0, 201);
    }

    fn remove_key(&self, key: &str) {
        assert_eq!(self.ask("DELETE", &format!("{APPS}/a/keys/{key}")).0, 200);
    }

    fn called(&self, more: &str) -> u16 {
        self.get(&format!("/transactions/authrep.xml?{PROVIDER}&app_id=a{more}")).status
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_locked_keys_are_gone_is_refused_until_an_owner_unlocks_it() {
    let backend = mirrored("2").await;
    backend.add_key("first");
    backend.add_key("second");
    backend.lock(&backend.hashed("a:first")).await;
    backend.remove_key("first");
    assert_eq!(backend.called("&app_key=second"), 409);
    backend.remove_key("second");
    assert_eq!(backend.called(""), 409);
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!((backend.called(""), backend.called("&usage[post]=1")), (409, 409));
    let lock = backend.shown("a").await.application.lock.expect("owners see it");
    assert_eq!((lock.reason.as_str(), lock.on), ("a test", LockTarget::Application));
    backend.add_key("third");
    assert_eq!(backend.called("&app_key=third"), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called("&app_key=third"), 200);
    backend.remove_key("third");
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_by_a_budget_outlives_the_last_key() {
    let backend = mirrored("2").await;
    backend.add_key("first");
    assert_eq!(backend.called("&app_key=first&usage[post]=10"), 200);
    assert_eq!(backend.called("&app_key=first&usage[post]=1"), 409);
    backend.remove_key("first");
    assert_eq!(backend.called(""), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_past_a_shared_budget_stays_locked_without_a_key() {
    let backend = mirrored("2").await;
    let change = ChangeApplicationPlan {
        application: "a".to_owned(),
        plan: "team".to_owned(),
        expected: Expected::default(),
    };
    backend.engine.execute(&Principal::System, change).await.unwrap();
    backend.add_key("first");
    assert_eq!(backend.called("&app_key=first&usage[post]=10"), 200);
    assert_eq!(backend.called("&app_key=first&usage[post]=1"), 409);
    backend.remove_key("first");
    assert_eq!(backend.called(""), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_last_key_an_owner_revoked_does_not_go_on_without_one() {
    let backend = mirrored("2").await;
    backend.add_key("first");
    backend.add_key("second");
    let revoke = |text: &str| {
        let key = backend.hashed(text);
        backend.store.revoke_key(KeyEdit { key, expected: Expected::Any, actor: Actor::System })
    };
    revoke("a:first").await.unwrap();
    assert_eq!(backend.called("&app_key=second"), 409);
    backend.remove_key("first");
    assert_eq!(backend.called("&app_key=second"), 200, "it has a key that works");
    revoke("a:second").await.unwrap();
    backend.remove_key("second");
    assert_eq!(backend.called(""), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_version_of_its_service_does_not_open_a_locked_application() {
    let backend = mirrored("1").await;
    backend.lock(&backend.hashed("ukey")).await;
    backend.make_service("2", &[]).await;
    assert_eq!(backend.called(""), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lock_of_a_key_that_was_imported_outlives_it_in_an_application() {
    let backend = Backend::open_mirrored(tempfile::tempdir().unwrap()).await;
    backend.make_service("2", &[]).await;
    let imported = backend.import_key("a:first").await;
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    backend.add_key("first");
    backend.lock(&imported).await;
    assert_eq!(backend.called("&app_key=first"), 409);
    backend.remove_key("first");
    assert_eq!(backend.called(""), 409);
    backend.unlock_application("a").await;
    assert_eq!(backend.called(""), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_resumes_here_what_its_source_suspends() {
    let backend = mirrored("1").await;
    assert_eq!(backend.keep("a", "suspended", "Basic"), 200);
    let backend = Backend::open_mirrored(backend.killed()).await;
    let by = Principal::System;
    let resume = || {
        let (application, state) = ("a".to_owned(), ApplicationState::Active);
        let resume = SetApplicationState { application, state, expected: Expected::default() };
        backend.engine.execute(&by, resume)
    };
    let refused = resume().await.unwrap_err();
    assert!(refused.to_string().contains("suspended where it comes from"), "{refused}");
    assert_eq!(backend.here().await[0].state, ApplicationState::Suspended);
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    assert_eq!(backend.here().await[0].state, ApplicationState::Active);
    // What is gone there suspends nothing any more.
    assert_eq!(backend.keep("a", "suspended", "Basic"), 200);
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/a")).0, 200);
    resume().await.unwrap();
}
