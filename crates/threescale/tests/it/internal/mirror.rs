//! Applications of the account are applications of Keystile.

use std::time::{Duration, Instant};

use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;
use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::keys::application::{
    ApplicationDetails, ApplicationView, ListApplications, ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{ChangeApplicationPlan, SetApplicationState};
use keystile_store::audit::{EventOwner, EventQuery};
use keystile_store::keys::{KeyEdit, KeyRef};
use keystile_threescale::account::own_principal;
use serde_json::{Value, json};

use crate::fixture::{Backend, PROVIDER};

pub(super) const APPS: &str = "/services/7/applications";

/// With the service 7, whose application `a` has the user key `ukey`; both came through the internal API.
pub(super) async fn mirrored(version: &str) -> Backend {
    let backend = Backend::open_mirrored(tempfile::tempdir().unwrap()).await;
    backend.make_service(version, &[]).await;
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    if version == "1" {
        assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/ukey")).0, 200);
    }
    backend
}

impl Backend {
    pub(super) fn keep(&self, id: &str, state: &str, plan: &str) -> u16 {
        let application = json!({"state": state, "plan_id": plan, "plan_name": plan});
        self.put("PUT", &format!("{APPS}/{id}"), json!({ "application": application })).0
    }

    pub(super) async fn here(&self) -> Vec<ApplicationView> {
        self.engine.execute(&own_principal(), ListApplications::default()).await.unwrap()
    }

    pub(super) async fn shown(&self, application: &str) -> ApplicationDetails {
        let show = ShowApplicationWithKeys { application: application.to_owned() };
        self.engine.execute(&own_principal(), show).await.unwrap()
    }

    /// State and plan of the keys of an application, in the order in which they came.
    async fn keys(&self, application: &str) -> Vec<(String, String)> {
        let keys = self.shown(application).await.keys_list;
        keys.into_iter().map(|key| (key.state, key.plan)).collect()
    }

    pub(super) fn hashed(&self, text: &str) -> KeyRef {
        KeyRef::Hashed(self.store.pepper().hash(text.as_bytes()))
    }

    pub(super) async fn events(&self) -> Vec<AuditEvent> {
        let query = EventQuery { limit: 100_000, ..EventQuery::default() };
        self.store.list_events(EventOwner::default(), query).await.unwrap()
    }

    fn status(&self, user_key: &str) -> u16 {
        self.get(&format!("/transactions/authrep.xml?{PROVIDER}&user_key={user_key}")).status
    }
}

async fn set_state(backend: &Backend, state: ApplicationState) {
    let by = keystile_core::owners::principal::Principal::System;
    let set =
        SetApplicationState { application: "a".to_owned(), state, expected: Expected::default() };
    backend.engine.execute(&by, set).await.unwrap();
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_of_the_account_is_one_of_keystiles_and_a_lock_of_its_key_holds() {
    let backend = mirrored("1").await;
    let shown = backend.shown("a").await;
    assert_eq!((shown.application.plan.as_str(), shown.application.keys), ("open", 1));
    assert_eq!(shown.keys_list[0].origin.as_deref(), Some("3scale backend"));
    assert_eq!(shown.keys_list[0].last_call, None);
    assert_eq!(backend.status("ukey"), 200);
    let shown = backend.shown("a").await;
    assert!(shown.keys_list[0].last_call.is_some(), "owners see that it calls");
    backend.lock(&backend.hashed("ukey")).await;
    assert_eq!(backend.status("ukey"), 409);
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!(backend.status("ukey"), 409);
    backend.unlock(&backend.hashed("ukey")).await;
    assert_eq!(backend.status("ukey"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_is_followed_here_and_an_owners_own_stays() {
    let backend = mirrored("1").await;
    assert_eq!(backend.keep("a", "suspended", "Basic"), 200);
    assert_eq!(backend.here().await[0].state, ApplicationState::Suspended);
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    assert_eq!(backend.here().await[0].state, ApplicationState::Active);
    set_state(&backend, ApplicationState::Suspended).await;
    assert_eq!(backend.status("ukey"), 409);
    assert_eq!(backend.keep("a", "suspended", "Basic"), 200);
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    assert_eq!(backend.here().await[0].state, ApplicationState::Suspended);
    assert_eq!(backend.status("ukey"), 409);
    set_state(&backend, ApplicationState::Active).await;
    assert_eq!(backend.status("ukey"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_followed_and_a_new_key_is_on_the_plan_that_an_owner_chose() {
    let backend = mirrored("1").await;
    assert_eq!(backend.keep("a", "active", "Gold"), 200);
    assert_eq!(backend.here().await[0].plan, "strict");
    assert_eq!(backend.keys("a").await, pairs(&[("active", "strict")]));
    let change = ChangeApplicationPlan {
        application: "a".to_owned(),
        plan: "open".to_owned(),
        expected: Expected::default(),
    };
    backend.engine.execute(&own_principal(), change).await.unwrap();
    assert_eq!(backend.keep("a", "active", "Gold"), 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/other")).0, 200);
    assert_eq!(backend.keys("a").await, pairs(&[("revoked", "open"), ("active", "open")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_outlives_the_key_that_it_was_on() {
    let backend = mirrored("1").await;
    backend.lock(&backend.hashed("ukey")).await;
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/second")).0, 200);
    assert_eq!((backend.status("ukey"), backend.status("second")), (403, 409));
    // As the portal does it: one goes, and then another comes.
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/key/second")).0, 200);
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/third")).0, 200);
    assert_eq!(backend.status("third"), 409);
    let states = backend.keys("a").await.into_iter().map(|(state, _)| state);
    assert_eq!(states.collect::<Vec<_>>(), ["revoked", "revoked", "locked"]);
    backend.unlock_application("a").await;
    assert_eq!(backend.status("third"), 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/fourth")).0, 200);
    assert_eq!(backend.status("fourth"), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_comes_back_works_unless_an_owner_revoked_it() {
    let backend = mirrored("1").await;
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/key/ukey")).0, 200);
    assert_eq!(backend.keys("a").await, pairs(&[("revoked", "open")]));
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/ukey")).0, 200);
    assert_eq!(backend.status("ukey"), 200);
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!(backend.keys("a").await, pairs(&[("revoked", "open"), ("active", "open")]));
    assert_eq!(backend.status("ukey"), 200);
    let revoke =
        KeyEdit { key: backend.hashed("ukey"), expected: Expected::Any, actor: Actor::System };
    backend.store.revoke_key(revoke).await.unwrap();
    assert_eq!(backend.status("ukey"), 409);
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/key/ukey")).0, 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/ukey")).0, 200);
    assert_eq!(backend.status("ukey"), 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_deleted_and_made_again_is_the_same_one_here() {
    let backend = mirrored("1").await;
    let id = backend.here().await[0].id.clone();
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/a")).0, 200);
    assert_eq!(backend.keys("a").await, pairs(&[("revoked", "open")]));
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!(backend.keep("a", "active", "Basic"), 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/ukey")).0, 200);
    let here = backend.here().await;
    assert_eq!((here.len(), here[0].id.as_str(), here[0].keys), (1, id.as_str(), 1));
    assert_eq!(backend.ask("DELETE", "/services/7").0, 200);
    assert_eq!(backend.here().await[0].keys, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_pair_is_both_parts_and_follows_the_version_of_the_service() {
    let backend = mirrored("2").await;
    let path = format!("{APPS}/a/keys");
    let key = json!({"application_key": {"value": "secret"}});
    assert_eq!(backend.put("POST", &path, key).0, 201);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/a/key/ukey")).0, 200);
    backend.lock(&backend.hashed("a:secret")).await;
    let authrep = format!("/transactions/authrep.xml?{PROVIDER}&app_id=a&app_key=secret");
    assert_eq!(backend.get(&authrep).status, 409);
    backend.unlock(&backend.hashed("a:secret")).await;
    assert_eq!(backend.get(&authrep).status, 200);
    assert!(backend.store.key(backend.hashed("ukey")).await.is_err(), "no key of this version");
    backend.make_service("1", &[]).await;
    assert_eq!(backend.keys("a").await, pairs(&[("revoked", "open"), ("active", "open")]));
    assert!(backend.store.key(backend.hashed("ukey")).await.unwrap().revoked.is_none());
    backend.make_service("2", &[]).await;
    assert_eq!(backend.get(&authrep).status, 200);
    assert_eq!(backend.ask("DELETE", &format!("{path}/secret")).0, 200);
    let states = backend.keys("a").await.into_iter().map(|(state, _)| state);
    assert_eq!(states.collect::<Vec<_>>(), ["revoked"; 3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_without_a_key_is_suspended_here_too() {
    let backend = mirrored("2").await;
    let authrep = format!("/transactions/authrep.xml?{PROVIDER}&app_id=a");
    assert_eq!(backend.get(&authrep).status, 200);
    set_state(&backend, ApplicationState::Suspended).await;
    assert_eq!(backend.get(&authrep).status, 409);
    let backend = Backend::open_mirrored(backend.killed()).await;
    backend.make_service("oauth", &[]).await;
    assert_eq!(backend.keep("a", "active", "Gold"), 200);
    assert_eq!(backend.get(&authrep).status, 409);
    set_state(&backend, ApplicationState::Active).await;
    assert_eq!(backend.get(&authrep).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_those_of_the_key_that_the_call_shows() {
    let backend = mirrored("2").await;
    for key in ["first", "second"] {
        let key = json!({"application_key": {"value": key}});
        assert_eq!(backend.put("POST", &format!("{APPS}/a/keys"), key).0, 201);
    }
    let post = |key: &str| {
        let path = "/transactions/authrep.xml";
        let query = format!("{PROVIDER}&app_id=a&app_key={key}&usage[post]=10");
        backend.get(&format!("{path}?{query}")).status
    };
    // Ten writes a day each.
    assert_eq!(post("second"), 200);
    let called = backend.shown("a").await.keys_list;
    assert!(called[0].last_call.is_none() && called[1].last_call.is_some());
    assert_eq!(post("first"), 200);
    assert_eq!(post("second"), 409);
    let state = |text: &str| backend.store.key(backend.hashed(text));
    assert_eq!(state("a:first").await.unwrap().lock, None);
    assert!(state("a:second").await.unwrap().lock.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_known_here_already_stays_where_it_is() {
    let backend = Backend::open_mirrored(tempfile::tempdir().unwrap()).await;
    backend.make_service("1", &[]).await;
    let own = backend.import_key("ukey").await;
    assert_eq!(backend.keep("reader", "active", "Basic"), 200);
    assert_eq!(backend.ask("PUT", &format!("{APPS}/reader/key/ukey")).0, 200);
    let here: Vec<_> = backend.here().await.into_iter().map(|one| (one.name, one.keys)).collect();
    assert_eq!(here, [("reader".to_owned(), 1), ("reader (7/reader)".to_owned(), 0)]);
    backend.lock(&own).await;
    assert_eq!(backend.status("ukey"), 409);
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/reader")).0, 200);
    assert_eq!(backend.store.key(own).await.unwrap().state_at(backend.store.now()), "locked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_from_one_application_to_another_with_its_lock() {
    let backend = mirrored("1").await;
    backend.lock(&backend.hashed("ukey")).await;
    // From one to the other and back: what follows has no order within a batch.
    for moved in [[("a", "other"), ("b", "ukey")], [("b", "third"), ("a", "ukey")]] {
        let entry = |(id, key)| json!({"id": id, "state": "active", "user_key": key});
        let entries: Vec<_> = moved.into_iter().map(entry).collect();
        let batch = json!({ "applications": entries });
        let (_, body) = backend.put("PUT", &format!("{APPS}/batch"), batch);
        assert_eq!(body["successful"], 2, "{body}");
        for (application, key) in moved {
            let key = backend.store.key(backend.hashed(key)).await.unwrap();
            assert_eq!(key.application, application);
            assert_eq!(key.state_at(backend.store.now()), "locked");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_two_services_goes_on_while_one_of_them_has_it() {
    let backend = mirrored("1").await;
    let service = json!({"service": {"provider_key": "pk", "backend_version": "1"}});
    assert_eq!(backend.put("PUT", "/services/8", service).0, 200);
    let application = json!({"application": {"state": "active"}});
    assert_eq!(backend.put("PUT", "/services/8/applications/z", application).0, 200);
    assert_eq!(backend.ask("PUT", "/services/8/applications/z/key/ukey").0, 200);
    assert_eq!(backend.keys("z").await, []);
    assert_eq!(backend.ask("DELETE", &format!("{APPS}/a")).0, 200);
    assert_eq!(backend.keys("z").await, pairs(&[("active", "open")]));
    let other = format!("/transactions/authrep.xml?{PROVIDER}&service_id=8&user_key=ukey");
    assert_eq!(backend.get(&other).status, 200);
    assert_eq!(backend.ask("DELETE", "/services/8").0, 200);
    assert_eq!(backend.keys("z").await, pairs(&[("revoked", "open")]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_comes_over_at_the_next_start_once_and_whole() {
    let backend = Backend::open(tempfile::tempdir().unwrap()).await;
    backend.make_service("1", &[]).await;
    let many: Vec<Value> = (0..700)
        .map(|number| {
            let state = if number % 100 == 0 { "suspended" } else { "active" };
            json!({"id": format!("app{number}"), "state": state, "user_key": format!("key-{number}")})
        })
        .collect();
    assert_eq!(backend.put("PUT", &format!("{APPS}/batch"), json!({"applications": many})).0, 200);
    assert!(backend.here().await.is_empty());
    let backend = Backend::open_mirrored(backend.killed()).await;
    let here = backend.here().await;
    assert!(here.iter().all(|application| application.keys == 1));
    let suspended = here.iter().filter(|one| one.state == ApplicationState::Suspended).count();
    assert_eq!((here.len(), suspended), (700, 7));
    let events = backend.events().await.len();
    // What follows is kept in the same commit, so a start after a crash finds nothing to do.
    let backend = Backend::open_mirrored(backend.killed()).await;
    assert_eq!((backend.here().await.len(), backend.events().await.len()), (700, events));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_of_a_thousand_is_quick() {
    let backend = Backend::open_mirrored(tempfile::tempdir().unwrap()).await;
    backend.make_service("1", &[]).await;
    let batch = |state: &str| {
        let many = (0..1_000).map(|number| {
            json!({"id": format!("app{number}"), "state": state, "plan_name": "Gold",
                   "user_key": format!("key-{number}")})
        });
        json!({"applications": many.collect::<Vec<_>>()})
    };
    for state in ["active", "suspended", "active"] {
        let began = Instant::now();
        assert_eq!(backend.put("PUT", &format!("{APPS}/batch"), batch(state)).0, 200);
        assert!(began.elapsed() < Duration::from_secs(5), "{state}: {:?}", began.elapsed());
        let here = backend.here().await;
        let expected =
            if state == "active" { ApplicationState::Active } else { ApplicationState::Suspended };
        assert!(
            here.len() == 1_000 && here.iter().all(|one| one.state == expected && one.keys == 1)
        );
    }
}
