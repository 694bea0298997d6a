//! What differs is found when the portal is read, kept, and shown as it is.

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::imported::ImportedText;
use keystile_core::owners::principal::Principal;
use keystile_core::version::Expected;
use keystile_engine::command::FailureKind;
use keystile_engine::keys::difference::{Difference, Side};
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::import::ImportKey;
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale_standin::tenant::State;

use super::setup::Driven;
use crate::setup::tenant;

const NAME: &str = "Acme Ltd – Importer";

fn does(difference: &Difference) -> Vec<(Side, &str)> {
    difference.sides.iter().map(|takeable| (takeable.side, takeable.does.as_str())).collect()
}

#[tokio::test]
async fn where_nothing_differs_nothing_is_shown_and_what_is_followed_is_no_difference() {
    let driven = Driven::start().await;
    assert_eq!(driven.differences().await, []);
    driven.sync().await;
    assert_eq!(driven.differences().await, []);
    let (ids, portal) = (driven.test.ids, &driven.test.portal);
    portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    portal.tenant().application_mut(ids.application).state = State::Suspended;
    driven.sync().await;
    assert_eq!(driven.differences().await, []);
}

#[tokio::test]
async fn a_plan_that_was_changed_here_shows_what_it_is_there_and_here() {
    let driven = Driven::start().await;
    driven.sync().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!((found.application.as_str(), found.about.as_str()), (NAME, "plan"));
    assert_eq!(found.there, "It is on the plan \"Basic\", which stands for open here.");
    assert_eq!(found.here, "It is on the plan trusted.");
    assert_eq!(does(&found), [(Side::There, "put it on the plan open here")]);
    assert!(found.advice.unwrap().contains("stands for trusted"));
    let application = driven.application(NAME).await.application;
    assert_eq!(found.application_id, Some(application.id));
}

#[tokio::test]
async fn what_was_found_is_kept_and_showing_it_asks_nobody() {
    let mut driven = Driven::start().await;
    driven.sync().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.differences().await;
    driven.restart().await;
    driven.test.portal.take_received();
    assert_eq!(driven.differences().await, found);
    assert!(driven.test.portal.take_received().is_empty());
    // What an owner settles by hand shows at once, and so does another change of it.
    driven.set_plan(NAME, "third").await;
    let other = driven.difference().await;
    assert_ne!(other.id, found[0].id);
    assert_eq!(other.here, "It is on the plan third.");
    driven.set_plan(NAME, "open").await;
    assert_eq!(driven.differences().await, []);
    assert!(driven.test.portal.take_received().is_empty());
}

#[tokio::test]
async fn a_key_that_was_revoked_here_and_works_there_is_shown_with_advice() {
    let driven = Driven::start().await;
    driven.sync().await;
    let key = driven.keys().await[0].id.clone();
    driven.execute(RevokeKey { key, expected: Expected::default() }).await.unwrap();
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!((found.about.as_str(), found.sides.len()), ("revoked keys", 0));
    assert_eq!(found.there, "A key of it works.");
    assert!(found.advice.as_ref().unwrap().contains("Delete the key in 3scale"), "{found:?}");
    for side in [Side::Here, Side::There] {
        let failure = driven.take(&found, side).await.unwrap_err();
        assert_eq!(failure.kind, FailureKind::Invalid);
        assert_eq!(failure.help, found.advice);
    }
    // Another key there settles it.
    driven.test.portal.tenant().application_mut(driven.test.ids.application).user_key =
        "another-key".to_owned();
    driven.sync().await;
    assert_eq!(driven.differences().await, []);
}

#[tokio::test]
async fn an_application_whose_plan_stands_for_none_here_is_shown_until_it_comes_over() {
    let (mut tenant, ids) = tenant();
    tenant.add_application(ids.account, ids.other_plan, "Reader");
    let no_default = |settings| DriveSettings { default_plan: None, ..settings };
    let driven = Driven::with(tenant, ids, no_default).await;
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!(found.application, "Acme Ltd – Reader");
    assert_eq!((found.about.as_str(), found.application_id), ("not brought over", None));
    assert_eq!(found.here, "Its plan \"Unlimited\" there stands for no plan here.");
    assert_eq!(
        found.advice.as_deref(),
        Some("Say in `plans` what \"Unlimited\" stands for, or set `default_plan`.")
    );
    driven.test.portal.tenant().application_mut(ids.application + 1).plan = ids.plan;
    driven.sync().await;
    assert_eq!(driven.differences().await, []);
    assert_eq!(driven.names().await.len(), 2);
}

#[tokio::test]
async fn a_plan_there_that_stands_for_none_any_more_is_shown_for_who_is_here_already() {
    let (tenant, ids) = tenant();
    let no_default = |settings| DriveSettings { default_plan: None, ..settings };
    let driven = Driven::with(tenant, ids, no_default).await;
    driven.sync().await;
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!(found.there, "It is on the plan \"Unlimited\", which stands for no plan here.");
    assert_eq!((found.here.as_str(), found.sides.len()), ("It is on the plan open.", 0));
}

/// A key that came from the source, and that no application there has.
async fn lost_key(driven: &Driven) {
    let import = ImportKey {
        application: "Lost".to_owned(),
        plan: Some("open".to_owned()),
        text: "a-key-that-was-lost".parse::<ImportedText>().unwrap(),
        origin: "3scale main".to_owned(),
        name: None,
    };
    let source = Principal::KeySource { name: "3scale main".to_owned() };
    driven.engine().execute(&source, import).await.unwrap();
}

#[tokio::test]
async fn keys_that_no_application_there_has_are_revoked_when_an_owner_decides_it() {
    let driven = Driven::start().await;
    driven.sync().await;
    lost_key(&driven).await;
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!((found.application.as_str(), found.about.as_str()), ("Lost", "gone there"));
    assert_eq!(does(&found), [(Side::There, "revoke its keys here for good")]);
    assert!(found.side(Side::There).unwrap().is_final());
    driven.take(&found, Side::Here).await.unwrap_err();
    let done = driven.take(&found, Side::There).await.unwrap();
    assert_eq!(done.0, "Revoked the keys of Lost that came from 3scale main.");
    assert_eq!(driven.application("Lost").await.keys_list[0].state, "revoked");
    assert_eq!(driven.application(NAME).await.keys_list[0].state, "active");
    assert_eq!(driven.differences().await, []);
    assert_eq!(driven.take(&found, Side::There).await.unwrap_err().kind, FailureKind::Conflict);
    let events = driven.events("difference_settled").await;
    assert!(events[0].starts_with("command line (ada): Lost, gone there: revoke"), "{events:?}");
}

#[tokio::test]
async fn of_very_many_differences_the_first_are_listed_and_the_others_counted() {
    let (mut tenant, ids) = tenant();
    for number in 0..130 {
        tenant.add_application(ids.account, ids.other_plan, &format!("App {number}"));
    }
    let no_default = |settings| DriveSettings { default_plan: None, ..settings };
    let driven = Driven::with(tenant, ids, no_default).await;
    driven.sync().await;
    let shown = driven.show().await;
    assert_eq!((shown.differences.len(), shown.more_differences), (100, 30));
}

#[tokio::test]
async fn an_application_that_was_suspended_on_both_sides_does_not_differ() {
    let driven = Driven::start().await;
    driven.sync().await;
    driven.set_state(NAME, ApplicationState::Suspended).await;
    driven.sync().await;
    assert_eq!(driven.difference().await.about, "whether it may call");
    driven.test.portal.tenant().application_mut(driven.test.ids.application).state =
        State::Suspended;
    driven.sync().await;
    assert_eq!(driven.differences().await, []);
}
