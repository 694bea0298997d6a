//! Applications, keys and plans come over and are kept in step.

use keystile_core::keys::application::ApplicationState;
use keystile_core::version::Expected;
use keystile_engine::KeySource as _;
use keystile_engine::command::FailureKind;
use keystile_engine::findings::FindingLevel;
use keystile_engine::keys::application_edit::SetApplicationState;
use keystile_engine::keys::source::{Deletions, SyncMode, SyncWanted};
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{AccessToken, BackendVersion, Permission, State, Tenant};

use super::setup::{Driven, TOO_LATE};
use crate::setup::{Ids, TOKEN, tenant};

const NAME: &str = "Acme Ltd – Importer";

#[tokio::test]
async fn an_application_comes_over_with_its_key_as_it_is_and_a_second_time_nothing_changes() {
    let driven = Driven::start().await;
    let report = driven.sync().await;
    assert_eq!((report.applications, report.changed, report.left), (1, 1, 0), "{report:?}");
    let here = driven.application(NAME).await;
    assert_eq!(here.application.plan, "open");
    assert_eq!(here.application.state, ApplicationState::Active);
    let [key] = here.keys_list.as_slice() else { panic!("{here:?}") };
    assert_eq!((key.origin.as_deref(), key.plan.as_str()), (Some("3scale main"), "open"));
    let text = format!("key-{}", driven.test.ids.application);
    let pepper = driven.engine().store().pepper();
    let entry = driven.engine().store().keys().find(&pepper.hash(text.as_bytes())).unwrap();
    assert_eq!(entry.id.to_string(), key.id);
    let again = driven.sync().await;
    assert_eq!((again.unchanged, again.changed, again.left), (1, 0, 0), "{again:?}");
    let events = driven.events("key_imported").await;
    assert!(events[0].starts_with("key source 3scale main: "), "{events:?}");
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done_and_does_nothing() {
    let driven = Driven::start().await;
    let report = driven.dry_run().await;
    assert_eq!(report.mode, SyncMode::DryRun);
    assert!(report.changes[0].contains(NAME), "{report:?}");
    assert!(driven.names().await.is_empty());
    driven.sync().await;
    let id = driven.test.ids.application;
    driven.test.portal.tenant().application_mut(id).state = State::Suspended;
    let report = driven.dry_run().await;
    assert!(report.changes[0].contains("would be suspended"), "{report:?}");
    assert_eq!(driven.application(NAME).await.application.state, ApplicationState::Active);
    driven.test.portal.tenant().remove_application(id);
    let report = driven.dry_run().await;
    assert!(report.changes[0].contains("would be revoked"), "{report:?}");
    assert_eq!(driven.keys().await[0].state, "active");
}

#[tokio::test]
async fn a_change_of_plan_there_is_made_here_and_the_keys_follow() {
    let driven = Driven::start().await;
    driven.sync().await;
    let ids = driven.test.ids;
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    let report = driven.sync().await;
    assert_eq!(report.changed, 1, "{report:?}");
    let here = driven.application(NAME).await;
    assert_eq!(here.application.plan, "other");
    assert_eq!(here.keys_list[0].plan, "other");
}

#[tokio::test]
async fn a_suspension_there_suspends_here_and_only_that_is_resumed_with_it() {
    let driven = Driven::start().await;
    driven.sync().await;
    let id = driven.test.ids.application;
    let there = |state| driven.test.portal.tenant().application_mut(id).state = state;
    there(State::Suspended);
    driven.sync().await;
    let here = driven.application(NAME).await.application;
    assert_eq!(here.state, ApplicationState::Suspended);
    assert!(here.note.unwrap().contains("3scale main"));
    there(State::Live);
    driven.sync().await;
    let here = driven.application(NAME).await.application;
    assert_eq!((here.state, here.note), (ApplicationState::Active, None));
    // An owner's own suspension outlives both.
    let suspend = SetApplicationState {
        application: NAME.to_owned(),
        state: ApplicationState::Suspended,
        expected: Expected::default(),
    };
    driven.execute(suspend).await.unwrap();
    for state in [State::Suspended, State::Live] {
        there(state);
        assert_eq!(driven.sync().await.changed, 1);
        let here = driven.application(NAME).await.application;
        assert_eq!((here.state, here.note), (ApplicationState::Suspended, None));
    }
}

#[tokio::test]
async fn a_resume_there_leaves_a_lock_of_keystile_and_says_so() {
    let driven = Driven::start().await;
    driven.sync().await;
    let (id, key) = (driven.test.ids.application, driven.keys().await[0].id.clone());
    driven.test.portal.tenant().application_mut(id).state = State::Suspended;
    driven.sync().await;
    driven.lock(&key).await;
    driven.test.portal.tenant().application_mut(id).state = State::Live;
    let report = driven.sync().await;
    assert!(report.changes.iter().any(|said| said.contains("stays locked here")), "{report:?}");
    assert_eq!(driven.keys().await[0].state, "locked");
    assert_eq!(driven.events("key_source_problem").await.len(), 1);
}

#[tokio::test]
async fn another_user_key_there_comes_over_and_the_old_one_is_revoked() {
    let driven = Driven::start().await;
    driven.sync().await;
    let id = driven.test.ids.application;
    driven.test.portal.tenant().application_mut(id).user_key = "another-key".to_owned();
    let report = driven.sync().await;
    assert_eq!((report.changed, report.left), (2, 0), "{report:?}");
    let keys = driven.keys().await;
    let mut states: Vec<_> =
        keys.iter().map(|key| (key.application.as_str(), key.state.as_str())).collect();
    states.sort_unstable();
    assert_eq!(states, [(NAME, "active"), (NAME, "revoked")]);
}

#[tokio::test]
async fn keys_of_an_application_that_is_deleted_there_are_revoked() {
    let driven = Driven::start().await;
    driven.sync().await;
    driven.test.portal.tenant().remove_application(driven.test.ids.application);
    assert_eq!(driven.sync().await.changed, 1);
    assert_eq!(driven.keys().await[0].state, "revoked");
    assert_eq!(driven.sync().await.changed, 0);
}

fn many(count: usize) -> (Tenant, Ids) {
    let (mut tenant, ids) = tenant();
    for number in 1..count {
        tenant.add_application(ids.account, ids.plan, &format!("App {number}"));
    }
    (tenant, ids)
}

#[tokio::test]
async fn when_much_is_gone_at_once_nothing_is_revoked_until_an_owner_confirms_it() {
    let (tenant, ids) = many(40);
    let driven = Driven::with(tenant, ids, |settings| settings).await;
    assert_eq!(driven.sync().await.changed, 40);
    let first = ids.application;
    for id in first..first + 20 {
        driven.test.portal.tenant().remove_application(id);
    }
    let failure = driven.try_sync(SyncWanted::default()).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(failure.message.contains("20 of 40"), "{failure}");
    assert!(driven.keys().await.iter().all(|key| key.state == "active"));
    let shown = driven.show().await;
    assert_eq!((shown.problem, shown.awaits_confirmation), (Some(failure.message), true));
    let since = shown.failing_since.unwrap();
    driven.try_sync(SyncWanted::default()).await.unwrap_err();
    assert_eq!(driven.show().await.failing_since, Some(since), "since the first failure");
    let confirmed = SyncWanted { deletions: Deletions::Confirmed, ..SyncWanted::default() };
    assert_eq!(driven.try_sync(confirmed).await.unwrap().changed, 20);
    let shown = driven.show().await;
    assert_eq!((shown.applications, shown.problem), (20, None));
    assert_eq!((shown.failing_since, shown.awaits_confirmation), (None, false));
}

#[tokio::test]
async fn a_list_of_several_pages_comes_over_whole() {
    let (tenant, ids) = many(501);
    let driven = Driven::with(tenant, ids, |settings| settings).await;
    let report = driven.sync().await;
    assert_eq!((report.applications, report.changed, report.left), (501, 501, 0));
}

#[tokio::test]
async fn what_cannot_come_over_is_named_and_holds_up_nothing() {
    let (mut tenant, mut ids) = tenant();
    let short = tenant.add_application(ids.account, ids.plan, "Short");
    tenant.application_mut(short).user_key = "key".to_owned();
    let twin = tenant.add_application(ids.account, ids.plan, "Importer");
    let unmapped = tenant.add_application(ids.account, ids.other_plan, "Unmapped");
    let waiting = tenant.add_application(ids.account, ids.plan, "Waiting");
    tenant.application_mut(waiting).state = State::Pending;
    ids.application = twin;
    let driven =
        Driven::with(tenant, ids, |settings| DriveSettings { default_plan: None, ..settings })
            .await;
    let report = driven.sync().await;
    assert_eq!((report.changed, report.left, report.unchanged), (2, 2, 1), "{report:?}");
    assert!(report.problems[0].contains("5 to 255"), "{report:?}");
    assert!(report.problems[1].contains("\"Unlimited\""), "{report:?}");
    assert_eq!(driven.names().await, [NAME.to_owned(), format!("{NAME} (3scale {twin})")]);
    driven.test.portal.tenant().application_mut(unmapped).plan = ids.plan;
    assert_eq!(driven.sync().await.left, 1);
    assert!(driven.names().await.contains(&"Acme Ltd – Unmapped".to_owned()));
}

#[tokio::test]
async fn a_key_that_is_known_here_from_elsewhere_stays_where_it_is() {
    let driven = Driven::start().await;
    let import = keystile_engine::keys::import::ImportKey {
        application: "by hand".to_owned(),
        plan: Some("open".to_owned()),
        text: format!("key-{}", driven.test.ids.application).parse().unwrap(),
        origin: "elsewhere".to_owned(),
        name: None,
    };
    driven.execute(import).await.unwrap();
    let report = driven.sync().await;
    assert_eq!((report.changed, report.left), (0, 1), "{report:?}");
    assert!(report.problems[0].contains("by hand"), "{report:?}");
    assert_eq!(driven.names().await, ["by hand"]);
}

/// An application that was made meanwhile; its number.
fn tenant_application(driven: &Driven, plan: u64, name: &str) -> u64 {
    driven.test.portal.tenant().add_application(driven.test.ids.account, plan, name)
}

#[tokio::test]
async fn keys_beside_an_app_id_come_over_one_by_one() {
    let (mut tenant, mut ids) = tenant();
    ids.service = tenant.add_service("Photos", BackendVersion::AppId);
    let plan = tenant.add_plan(ids.service, "Basic");
    let id = tenant.add_application(ids.account, plan, "Viewer");
    tenant.application_mut(id).keys = vec!["first-key".to_owned(), "second-key".to_owned()];
    let driven = Driven::with(tenant, ids, |settings| settings).await;
    let keyless = tenant_application(&driven, plan, "Keyless");
    let report = driven.sync().await;
    assert_eq!((report.changed, report.left), (1, 1), "{report:?}");
    assert!(report.problems[0].contains("no app_key"), "{keyless}: {report:?}");
    let here = driven.application("Acme Ltd – Viewer").await;
    assert_eq!(here.keys_list.len(), 2);
    let app_id = driven.test.portal.tenant().application(id).app_id.clone();
    let (pepper, keys) = (driven.engine().store().pepper(), driven.engine().store().keys());
    let knows = |text: &str| keys.find(&pepper.hash(text.as_bytes())).is_some();
    assert!(knows(&format!("{app_id}:first-key")) && knows(&format!("{app_id}:second-key")));
    assert!(!knows("first-key") && !knows("another:first-key") && !knows(&app_id));
    driven.test.portal.tenant().application_mut(id).keys.remove(0);
    driven.sync().await;
    let here = driven.application("Acme Ltd – Viewer").await;
    let active = here.keys_list.iter().filter(|key| key.state == "active");
    assert_eq!(active.count(), 1);
}

#[tokio::test]
async fn a_portal_that_fails_changes_nothing_and_the_failure_is_shown() {
    let driven = Driven::start().await;
    driven.sync().await;
    let faults = [
        Fault::json(401, "{}"),
        Fault::json(403, r#"{"status":"Forbidden"}"#),
        Fault::web_page(404),
        Fault::rate_limited(Some("1")),
        Fault::json(500, "{}"),
        Fault::redirect("https://elsewhere.example/"),
        Fault::CutBody,
        Fault::CutHead,
        Fault::EndlessBody,
        Fault::Slow(TOO_LATE),
    ];
    for part in ["services.json", "applications.json"] {
        for fault in &faults {
            driven.test.portal.fail_on(part, fault.clone());
            let failure = driven.try_sync(SyncWanted::default()).await.unwrap_err();
            assert!(!failure.to_string().contains(TOKEN), "{failure}");
            let shown = driven.show().await;
            assert_eq!(shown.problem, Some(failure.message), "{fault:?}");
            assert!(shown.synchronized.is_some());
        }
    }
    assert_eq!(driven.sync().await.unchanged, 1);
    assert_eq!(driven.show().await.problem, None);
    assert_eq!(driven.keys().await[0].state, "active");
}

#[tokio::test]
async fn a_check_says_what_works_and_what_is_missing() {
    let driven = Driven::start().await;
    let findings = driven.account.check(driven.engine()).await.unwrap();
    assert!(findings.iter().all(|finding| finding.level == FindingLevel::Good), "{findings:?}");

    let (mut tenant, ids) = tenant();
    let permission = Permission::ReadOnly;
    let token = AccessToken { permission, ..AccessToken::new("a-read-only-token") };
    tenant.replace_tokens(token);
    let driven = Driven::with(tenant, ids, |settings| DriveSettings {
        default_plan: None,
        plans: [("Gone".to_owned(), "open".to_owned())].into(),
        ..settings
    })
    .await;
    driven.test.write_token("a-read-only-token");
    let findings = driven.account.check(driven.engine()).await.unwrap();
    let said = |part: &str| {
        let found = findings.iter().find(|finding| finding.message.contains(part));
        found.unwrap_or_else(|| panic!("{part}: {findings:?}")).level
    };
    assert_eq!(said("may not write"), FindingLevel::Problem);
    assert_eq!(said("no plan \"Gone\" there"), FindingLevel::Warning);
    assert_eq!(said("\"Basic\" there stands for no plan"), FindingLevel::Warning);
    assert_eq!(said("may read applications"), FindingLevel::Good);

    driven.test.write_token("unknown");
    let findings = driven.account.check(driven.engine()).await.unwrap();
    assert_eq!(findings[0].level, FindingLevel::Problem);
    assert!(findings[0].message.contains("refused"), "{findings:?}");
}
