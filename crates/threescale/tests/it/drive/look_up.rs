//! A key that is unknown here is looked up in 3scale, and comes over as it would by itself.

use std::time::Duration;

use keystile_core::time::Span;
use keystile_engine::KeySource as _;
use keystile_engine::command::FailureKind;
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::source::SyncWanted;
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, State};

use super::setup::{Driven, TOO_LATE};
use crate::setup::{TOKEN, tenant};

const NAME: &str = "Acme Ltd – Importer";

impl Driven {
    fn user_key(&self) -> String {
        format!("key-{}", self.test.ids.application)
    }
}

#[tokio::test]
async fn a_key_that_is_looked_up_comes_over_and_the_next_reading_finds_nothing_to_do() {
    let driven = Driven::start().await;
    assert_eq!(driven.look_up(&driven.user_key()).await, Ok(FoundThere::Imported));
    let here = driven.application(NAME).await;
    assert_eq!((here.application.plan.as_str(), here.keys_list.len()), ("open", 1));
    assert_eq!(here.keys_list[0].origin.as_deref(), Some("3scale main"));
    let report = driven.sync().await;
    assert_eq!((report.unchanged, report.changed, report.left), (1, 0, 0), "{report:?}");
    assert_eq!(driven.look_up(&driven.user_key()).await, Ok(FoundThere::Imported), "again");
    assert_eq!(driven.keys().await.len(), 1);
}

#[tokio::test]
async fn what_may_not_call_there_or_has_no_plan_here_is_unknown_and_stays_there() {
    let driven = Driven::start().await;
    assert_eq!(driven.look_up("never-issued").await, Ok(FoundThere::Unknown));
    let id = driven.test.ids.application;
    for state in [State::Suspended, State::Pending] {
        driven.test.portal.tenant().application_mut(id).state = state;
        assert_eq!(driven.look_up(&driven.user_key()).await, Ok(FoundThere::Unknown));
    }
    let (tenant, ids) = tenant();
    let without = |settings| DriveSettings { plans: [].into(), default_plan: None, ..settings };
    let unmapped = Driven::with(tenant, ids, without).await;
    assert_eq!(unmapped.look_up(&unmapped.user_key()).await, Ok(FoundThere::Unknown));
    assert!(driven.names().await.is_empty() && unmapped.names().await.is_empty());
}

#[tokio::test]
async fn another_key_of_an_application_joins_it_and_the_old_one_works_until_the_next_reading() {
    let driven = Driven::start().await;
    driven.sync().await;
    let id = driven.test.ids.application;
    driven.test.portal.tenant().application_mut(id).user_key = "another-key".to_owned();
    assert_eq!(driven.look_up("another-key").await, Ok(FoundThere::Imported));
    let states = async || {
        let keys = driven.application(NAME).await.keys_list;
        keys.into_iter().map(|key| key.state).collect::<Vec<_>>()
    };
    assert_eq!(states().await, ["active", "active"]);
    driven.sync().await;
    let mut after = states().await;
    after.sort_unstable();
    assert_eq!(after, ["active", "revoked"]);
}

/// A key that is revoked stays so: were it taken from an old list that a new key is gone, the key were lost.
#[tokio::test]
async fn a_list_that_was_read_before_a_key_was_looked_up_does_not_revoke_it() {
    let driven = Driven::start().await;
    driven.sync().await;
    let id = driven.test.ids.application;
    driven.test.portal.fail_on("applications.json", Fault::Stale(Duration::from_millis(600)));
    let look_up = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        driven.test.portal.tenant().application_mut(id).user_key = "another-key".to_owned();
        assert_eq!(driven.look_up("another-key").await, Ok(FoundThere::Imported));
    };
    let (report, ()) = tokio::join!(driven.sync(), look_up);
    assert_eq!((report.changed, report.left), (0, 0), "{report:?}");
    let keys = driven.keys().await;
    assert!(keys.iter().all(|key| key.state == "active"), "{keys:?}");
    assert_eq!(driven.sync().await.changed, 1, "the old key goes now");
    assert_eq!(driven.sync().await.changed, 0);
}

#[tokio::test]
async fn many_look_ups_beside_a_reading_bring_an_application_over_once() {
    for _ in 0..5 {
        let driven = Driven::start().await;
        let key = driven.user_key();
        let (one, two, three, report) = tokio::join!(
            driven.look_up(&key),
            driven.look_up(&key),
            driven.look_up(&key),
            driven.sync()
        );
        assert_eq!([one, two, three], [const { Ok(FoundThere::Imported) }; 3]);
        assert_eq!(report.left, 0, "{report:?}");
        assert_eq!((driven.names().await.len(), driven.keys().await.len()), (1, 1));
        let after = driven.sync().await;
        assert_eq!((after.unchanged, after.changed, after.left), (1, 0, 0), "{after:?}");
    }
}

#[tokio::test]
async fn a_portal_that_fails_makes_no_key_unknown() {
    let driven = Driven::start().await;
    // So that the service itself is known, and only the look-up fails.
    assert_eq!(driven.look_up("never-issued").await, Ok(FoundThere::Unknown));
    let faults = [
        Fault::json(401, "{}"),
        Fault::json(403, r#"{"status":"Forbidden"}"#),
        Fault::web_page(404),
        Fault::json(422, r#"{"errors":{"user_key":["is odd"]}}"#),
        Fault::rate_limited(Some("1")),
        Fault::json(500, "{}"),
        Fault::redirect("https://elsewhere.example/"),
        Fault::CutBody,
        Fault::CutHead,
        Fault::EndlessBody,
        Fault::Slow(TOO_LATE),
    ];
    let key = driven.user_key();
    for fault in faults {
        driven.test.portal.fail_on("find.json", fault.clone());
        let failure = driven.look_up(&key).await.unwrap_err();
        assert!(!failure.to_string().contains(TOKEN), "{failure}");
        assert!(!failure.to_string().contains(&key), "{failure}");
        let is_of_the_portal =
            matches!(failure.kind, FailureKind::Invalid | FailureKind::Unavailable);
        assert!(is_of_the_portal, "{fault:?}: {failure:?}");
    }
    assert!(driven.names().await.is_empty());
    assert_eq!(driven.look_up(&key).await, Ok(FoundThere::Imported));
}

#[tokio::test]
async fn an_answer_about_another_key_is_not_taken_for_this_one() {
    let driven = Driven::start().await;
    let other = r#"{"application":{"id":9,"state":"live","enabled":true,"service_id":SERVICE,"plan_id":1,
        "plan_name":"Basic","account_id":1,"user_key":"some-other-key"}}"#;
    let other = other.replace("SERVICE", &driven.test.ids.service.to_string());
    driven.test.portal.fail_on("find.json", Fault::json(200, &other));
    assert_eq!(driven.look_up("never-issued").await, Ok(FoundThere::Unknown));
    assert!(driven.names().await.is_empty());
}

#[tokio::test]
async fn an_app_id_and_its_app_key_are_looked_up_together() {
    let (mut tenant, mut ids) = tenant();
    ids.service = tenant.add_service("Photos", BackendVersion::AppId);
    let plan = tenant.add_plan(ids.service, "Basic");
    let [viewer, other] = ["Viewer", "Other"].map(|name| {
        let id = tenant.add_application(ids.account, plan, name);
        let application = tenant.application_mut(id);
        application.keys = vec![format!("key-of-{name}")];
        application.app_id.clone()
    });
    let driven = Driven::with(tenant, ids, |settings| settings).await;
    for (id, key) in [
        (viewer.as_str(), "key-of-Other"),
        (&other, "key-of-Viewer"),
        ("never-made", "key-of-Viewer"),
        (&viewer, "key-of-Viewer:"),
    ] {
        let found = driven.look_up(&format!("{id}:{key}")).await;
        assert_eq!(found, Ok(FoundThere::Unknown), "{id}:{key}");
    }
    driven.test.portal.take_received();
    // What are no two parts is known without a question.
    for text in ["key-of-Viewer", &format!("{viewer}:"), ":key-of-Viewer"] {
        assert_eq!(driven.look_up(text).await, Ok(FoundThere::Unknown), "{text}");
    }
    assert_eq!(driven.test.portal.take_received(), []);
    assert!(driven.names().await.is_empty());
    let right = format!("{viewer}:key-of-Viewer");
    assert_eq!(driven.look_up(&right).await, Ok(FoundThere::Imported));
    assert_eq!(driven.names().await, ["Acme Ltd – Viewer"]);
    let report = driven.sync().await;
    assert_eq!((report.unchanged, report.changed, report.left), (1, 1, 0), "{report:?}");
}

#[tokio::test]
async fn keys_of_a_portal_that_cannot_be_read_stop_in_time_and_work_again_once_it_was() {
    let (tenant, ids) = tenant();
    let keep_known = Span::from_secs(1);
    let mut driven =
        Driven::with(tenant, ids, |settings| DriveSettings { keep_known, ..settings }).await;
    driven.sync().await;
    let works = |driven: &Driven| {
        let store = driven.engine().store();
        let hash = store.pepper().hash(driven.user_key().as_bytes());
        store.keys().find(&hash).unwrap().is_vouched_for(store.now())
    };
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    assert!(works(&driven), "nobody says that it cannot be read");
    driven.test.portal.fail_on("services.json", Fault::json(500, "{}"));
    driven.try_sync(SyncWanted::default()).await.unwrap_err();
    assert!(!works(&driven));
    let shown = driven.show().await;
    let until = shown.synchronized.unwrap().plus(keep_known);
    assert_eq!((shown.keys_work_until, shown.failing_since.is_some()), (Some(until), true));
    let checked = driven.account.check(driven.engine()).await.unwrap();
    assert!(checked.iter().any(|found| found.message.contains("its keys work here until")));
    // A restart forgets nothing of it, whatever the portal does meanwhile.
    driven.restart().await;
    driven.test.portal.fail_on("services.json", Fault::Slow(TOO_LATE));
    driven.work();
    let begun = std::time::Instant::now();
    while works(&driven) {
        assert!(begun.elapsed() < Duration::from_millis(1_500));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    driven.sync().await;
    assert!(works(&driven));
    assert_eq!(driven.show().await.keys_work_until, None);
}

#[tokio::test]
async fn deletions_that_wait_to_be_confirmed_stop_no_other_key() {
    let (mut tenant, ids) = tenant();
    for number in 1..40 {
        tenant.add_application(ids.account, ids.plan, &format!("App {number}"));
    }
    let keep_known = Span::from_secs(1);
    let driven =
        Driven::with(tenant, ids, |settings| DriveSettings { keep_known, ..settings }).await;
    driven.sync().await;
    for id in ids.application + 1..ids.application + 21 {
        driven.test.portal.tenant().remove_application(id);
    }
    driven.try_sync(SyncWanted::default()).await.unwrap_err();
    let shown = driven.show().await;
    assert_eq!((shown.awaits_confirmation, shown.keys_work_until), (true, None));
}
