//! Either side of a difference can be taken, and only of the one that was seen.

use keystile_core::keys::application::ApplicationState::{Active, Suspended};
use keystile_engine::command::FailureKind;
use keystile_engine::keys::difference::{Difference, Side};
use keystile_threescale::drive::settings::{DriveSettings, OnLock};
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{AccessToken, Permission, State};

use super::setup::Driven;
use crate::setup::tenant;

const NAME: &str = "Acme Ltd – Importer";

/// An account with one application that was brought over.
async fn followed() -> Driven {
    let driven = Driven::start().await;
    driven.sync().await;
    driven
}

impl Driven {
    fn there(&self) -> (u64, State) {
        let tenant = self.test.portal.tenant();
        let application = tenant.application(self.test.ids.application);
        (application.plan, application.state)
    }

    fn set_there(&self, state: State) {
        self.test.portal.tenant().application_mut(self.test.ids.application).state = state;
    }

    /// Nothing is left to decide, now and after the next reading, which changes nothing.
    async fn is_settled(&self) {
        assert_eq!(self.differences().await, []);
        let report = self.sync().await;
        assert_eq!((report.changed, report.left), (0, 0), "{report:?}");
        assert_eq!(self.differences().await, []);
        assert_eq!(self.events("difference_settled").await.len(), 1);
    }
}

#[tokio::test]
async fn a_plan_goes_either_way() {
    let driven = followed().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.difference().await;
    let done = driven.take(&found, Side::There).await.unwrap();
    assert_eq!(done.0, format!("Done: put it on the plan open here of {NAME}."));
    let here = driven.application(NAME).await;
    assert_eq!((here.application.plan.as_str(), here.keys_list[0].plan.as_str()), ("open", "open"));
    driven.is_settled().await;
    let events = driven.events("application_plan_changed").await;
    assert!(events[0].starts_with("command line (ada)"), "{events:?}");

    let driven = followed().await;
    let ids = driven.test.ids;
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    driven.sync().await;
    driven.set_plan(NAME, "open").await;
    driven.sync().await;
    let found = driven.difference().await;
    driven.take(&found, Side::Here).await.unwrap();
    assert_eq!(driven.there().0, ids.plan);
    assert_eq!(driven.application(NAME).await.application.plan, "open");
    driven.is_settled().await;
}

/// Suspended there, and resumed here by an owner.
async fn suspended_there() -> (Driven, Difference) {
    let driven = followed().await;
    driven.set_there(State::Suspended);
    driven.sync().await;
    driven.set_state(NAME, Active).await;
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!((found.there.as_str(), found.here.as_str()), ("It is suspended.", "It may call."));
    (driven, found)
}

#[tokio::test]
async fn a_suspension_there_is_followed_or_ended() {
    let (driven, found) = suspended_there().await;
    driven.take(&found, Side::There).await.unwrap();
    let here = driven.application(NAME).await.application;
    assert_eq!(here.state, Suspended);
    assert!(here.note.unwrap().contains("3scale main"));
    driven.is_settled().await;
    // It is 3scale's suspension again, and ends with the one there.
    driven.set_there(State::Live);
    driven.sync().await;
    let here = driven.application(NAME).await.application;
    assert_eq!((here.state, here.note), (Active, None));

    let (driven, found) = suspended_there().await;
    driven.take(&found, Side::Here).await.unwrap();
    assert_eq!(driven.there().1, State::Live);
    assert_eq!(driven.application(NAME).await.application.state, Active);
    driven.is_settled().await;
}

#[tokio::test]
async fn a_suspension_here_is_ended_or_followed_there() {
    for side in [Side::There, Side::Here] {
        let driven = followed().await;
        driven.set_state(NAME, Suspended).await;
        driven.sync().await;
        let found = driven.difference().await;
        driven.take(&found, side).await.unwrap();
        let (here, there) = match side {
            Side::There => (Active, State::Live),
            Side::Here => (Suspended, State::Suspended),
        };
        assert_eq!(driven.application(NAME).await.application.state, here, "{side}");
        assert_eq!(driven.there().1, there, "{side}");
        driven.is_settled().await;
    }
}

/// Locked here and suspended for it there, and then resumed there.
async fn overruled() -> (Driven, String) {
    let mut driven = followed().await;
    driven.work();
    let key = driven.keys().await[0].id.clone();
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    driven.set_there(State::Live);
    driven.sync().await;
    (driven, key)
}

#[tokio::test]
async fn a_lock_that_was_overruled_there_is_asked_for_again_or_opened_here() {
    let (driven, _) = overruled().await;
    let found = driven.difference().await;
    assert_eq!(found.about, "lock");
    driven.take(&found, Side::Here).await.unwrap();
    driven.until_followed(Some("suspended there")).await;
    assert_eq!(driven.there().1, State::Suspended);
    assert_eq!(driven.keys().await[0].state, "locked");
    driven.is_settled().await;

    let (driven, _) = overruled().await;
    let found = driven.difference().await;
    driven.take(&found, Side::There).await.unwrap();
    assert_eq!(driven.keys().await[0].state, "active");
    assert_eq!(driven.there().1, State::Live);
    driven.until_followed(None).await;
    driven.is_settled().await;
}

#[tokio::test]
async fn a_lock_that_found_it_suspended_differs_once_it_is_resumed_there() {
    let mut driven = followed().await;
    driven.set_there(State::Suspended);
    driven.work();
    let key = driven.keys().await[0].id.clone();
    driven.lock(&key).await;
    driven.until_followed(Some("could not call there already")).await;
    driven.sync().await;
    driven.set_there(State::Live);
    driven.sync().await;
    let found = driven.difference().await;
    assert_eq!(found.about, "lock");
    driven.take(&found, Side::Here).await.unwrap();
    driven.until_followed(Some("suspended there")).await;
    // This time the suspension is ours.
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(driven.there().1, State::Live);
}

#[tokio::test]
async fn what_has_changed_since_it_was_seen_is_said_and_not_done() {
    // There.
    let driven = followed().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.difference().await;
    let ids = driven.test.ids;
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    let failure = driven.take(&found, Side::There).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert!(failure.message.contains("There now: It is on the plan \"Unlimited\""), "{failure}");
    assert_eq!(driven.application(NAME).await.application.plan, "trusted");
    // What is shown from now on is what was seen just now, and that can be taken.
    let found = driven.difference().await;
    assert!(found.there.contains("Unlimited"), "{found:?}");
    driven.take(&found, Side::There).await.unwrap();
    assert_eq!(driven.application(NAME).await.application.plan, "other");
    driven.is_settled().await;

    // Here.
    let driven = followed().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.difference().await;
    driven.set_plan(NAME, "third").await;
    let failure = driven.take(&found, Side::There).await.unwrap_err();
    assert!(failure.message.contains("Here now: It is on the plan third."), "{failure}");
    assert_eq!(driven.application(NAME).await.application.plan, "third");
    driven.set_plan(NAME, "open").await;
    let failure = driven.take(&found, Side::There).await.unwrap_err();
    assert!(failure.message.contains("does not differ in that any more"), "{failure}");

    // Gone.
    let (driven, found) = suspended_there().await;
    driven.test.portal.tenant().remove_application(driven.test.ids.application);
    let failure = driven.take(&found, Side::Here).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict);
    assert_eq!(driven.differences().await, []);
}

#[tokio::test]
async fn a_name_of_no_difference_is_missing() {
    let driven = followed().await;
    driven.set_plan(NAME, "trusted").await;
    driven.sync().await;
    let found = driven.difference().await;
    for id in ["", "plan", "plan-", "plan-x-y", "what-1-2", "gone-app_1-12345678"] {
        let odd = Difference { id: id.to_owned(), ..found.clone() };
        let failure = driven.take(&odd, Side::There).await.unwrap_err();
        let kinds = [FailureKind::Missing, FailureKind::Conflict];
        assert!(kinds.contains(&failure.kind), "{id}: {failure:?}");
    }
    assert_eq!(driven.application(NAME).await.application.plan, "trusted");
}

#[tokio::test]
async fn where_the_portal_refuses_or_is_away_nothing_is_done_and_it_can_be_taken_later() {
    let (driven, found) = suspended_there().await;
    driven.test.portal.fail_on("find.json", Fault::json(503, "{}"));
    let failure = driven.take(&found, Side::Here).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable, "{failure}");
    let token =
        AccessToken { permission: Permission::ReadOnly, ..AccessToken::new("a-read-only-token") };
    driven.test.portal.tenant().add_token(token);
    driven.test.write_token("a-read-only-token");
    let failure = driven.take(&found, Side::Here).await.unwrap_err();
    assert!(failure.message.contains("may not write"), "{failure}");
    assert_eq!(driven.there().1, State::Suspended);
    assert_eq!(driven.difference().await, found);
    assert_eq!(driven.events("difference_settled").await.len(), 0);
    driven.test.write_token(crate::setup::TOKEN);
    driven.take(&found, Side::Here).await.unwrap();
    assert_eq!(driven.there().1, State::Live);
    driven.is_settled().await;
}

/// Locked here and put on the plan `Read only` for it there, and then on another one by somebody.
async fn moved_on() -> Driven {
    let (mut tenant, ids) = tenant();
    tenant.add_plan(ids.service, "Read only");
    let on_lock = |settings| DriveSettings {
        on_lock: OnLock::ChangePlan("Read only".to_owned()),
        ..settings
    };
    let mut driven = Driven::with(tenant, ids, on_lock).await;
    driven.sync().await;
    driven.work();
    driven.lock(&driven.keys().await[0].id.clone()).await;
    driven.until_followed(Some("put on the plan \"Read only\" there")).await;
    driven.sync().await;
    assert_eq!(driven.differences().await, [], "a lock here asked for that plan");
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    driven.sync().await;
    driven
}

#[tokio::test]
async fn a_plan_that_a_lock_asked_for_and_somebody_changed_goes_either_way() {
    let driven = moved_on().await;
    let found = driven.difference().await;
    assert_eq!(found.there, "It is on the plan \"Unlimited\", and not on \"Read only\".");
    let does = &found.side(Side::Here).unwrap().does;
    assert_eq!(does, "put it on the plan \"Read only\" there again");
    driven.take(&found, Side::Here).await.unwrap();
    driven.until_followed(Some("put on the plan \"Read only\" there")).await;
    driven.is_settled().await;

    let driven = moved_on().await;
    let found = driven.difference().await;
    driven.take(&found, Side::There).await.unwrap();
    assert_eq!(driven.keys().await[0].state, "active");
    driven.until_followed(None).await;
    assert_eq!(driven.there().0, driven.test.ids.other_plan);
    driven.is_settled().await;
}

#[tokio::test]
async fn of_two_owners_who_take_different_sides_at_once_one_is_told() {
    let driven = followed().await;
    driven.set_state(NAME, Suspended).await;
    driven.sync().await;
    let found = driven.difference().await;
    let (one, other) =
        tokio::join!(driven.take(&found, Side::There), driven.take(&found, Side::Here));
    let failure = one.and(other).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Conflict, "{failure}");
    driven.is_settled().await;
}

#[tokio::test]
async fn a_suspension_that_an_owner_makes_after_ending_3scales_is_theirs() {
    let (driven, _) = suspended_there().await;
    driven.set_state(NAME, Suspended).await;
    driven.sync().await;
    driven.set_there(State::Live);
    driven.sync().await;
    assert_eq!(driven.application(NAME).await.application.state, Suspended);
    let found = driven.difference().await;
    assert_eq!((found.there.as_str(), found.here.as_str()), ("It may call.", "It is suspended."));
}

#[tokio::test]
async fn a_crash_after_the_portal_was_asked_leaves_what_the_next_reading_puts_right() {
    for fault in [Fault::CutHead, Fault::CutBody] {
        let (mut driven, found) = suspended_there().await;
        driven.test.portal.fail_on("/resume.json", fault);
        // It was carried out there, and nobody here has read the answer.
        driven.take(&found, Side::Here).await.unwrap_err();
        assert_eq!(driven.there().1, State::Live);
        driven.restart().await;
        driven.sync().await;
        assert_eq!(driven.application(NAME).await.application.state, Active);
        assert_eq!(driven.differences().await, []);
        assert_eq!(driven.sync().await.changed, 0);
    }
}
