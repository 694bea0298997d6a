//! A lock here puts the application on another plan there, and back, whatever fails on the way.

use std::time::Duration;

use keystile_engine::KeySource as _;
use keystile_engine::findings::FindingLevel;
use keystile_threescale::drive::settings::{DriveSettings, OnLock};
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::State;
use tokio::task::JoinSet;

use super::setup::{Driven, TOO_LATE};
use crate::setup::tenant;

const NAME: &str = "Acme Ltd – Importer";
/// An answer that does not come while the test runs.
const NEVER: Duration = Duration::from_mins(10);
const DONE: Option<&str> = Some("put on the plan \"Read only\" there");

/// An account whose locks ask for the plan `Read only`, with one application that was brought over.
struct Planned {
    driven: Driven,
    key: String,
    read_only: u64,
}

impl Planned {
    async fn start() -> Self {
        let (mut tenant, ids) = tenant();
        let read_only = tenant.add_plan(ids.service, "Read only");
        let on_lock = |settings| DriveSettings {
            on_lock: OnLock::ChangePlan("Read only".to_owned()),
            ..settings
        };
        let driven = Driven::with(tenant, ids, on_lock).await;
        driven.sync().await;
        driven.test.portal.take_received();
        let key = driven.keys().await[0].id.clone();
        Self { driven, key, read_only }
    }

    async fn working() -> Self {
        let mut planned = Self::start().await;
        planned.driven.work();
        planned
    }

    fn plan_there(&self) -> u64 {
        self.driven.test.portal.tenant().application(self.driven.test.ids.application).plan
    }

    fn choose_there(&self, plan: u64) {
        let application = self.driven.test.ids.application;
        self.driven.test.portal.tenant().application_mut(application).plan = plan;
    }

    fn puts(&self) -> usize {
        let received = self.driven.test.portal.take_received();
        received.iter().filter(|request| request.method == "PUT").count()
    }

    async fn plan_here(&self) -> String {
        self.driven.application(NAME).await.application.plan
    }
}

#[tokio::test]
async fn a_lock_changes_the_plan_there_and_not_here_and_an_unlock_changes_it_back() {
    let planned = Planned::working().await;
    let (driven, ids) = (&planned.driven, planned.driven.test.ids);
    driven.lock(&planned.key).await;
    driven.until_followed(DONE).await;
    assert_eq!(planned.plan_there(), planned.read_only);
    // `Read only` would stand for the plan `other` here.
    assert_eq!(driven.sync().await.changed, 0);
    assert_eq!(driven.dry_run().await.changed, 0);
    assert_eq!(planned.plan_here().await, "open");
    driven.unlock(&planned.key).await;
    driven.until_followed(None).await;
    assert_eq!(planned.plan_there(), ids.plan);
    assert_eq!(driven.sync().await.changed, 0);
    assert_eq!((planned.plan_here().await.as_str(), planned.puts()), ("open", 2));
    let said = driven.events("key_source_changed").await;
    assert!(said[0].contains("\"Read only\"") && said[0].contains("up to a minute"), "{said:?}");
    assert!(said[1].contains("back on the plan \"Basic\""), "{said:?}");
    assert_eq!(said.len(), 2, "{said:?}");
    let promised = driven.account.lock_there(driven.engine(), &planned.key).await.unwrap();
    assert!(promised.unwrap().contains("to put the application on the plan \"Read only\""));
}

#[tokio::test]
async fn whatever_fails_a_plan_is_changed_and_changed_back_and_nothing_is_lost() {
    let mut cases = JoinSet::new();
    for fault in [
        Fault::rate_limited(Some("1")),
        Fault::json(500, "{}"),
        Fault::CutHead,
        Fault::CutBody,
        Fault::Slow(TOO_LATE),
    ] {
        for (place, part) in
            ["find.json", "/application_plans.json", "/change_plan.json"].into_iter().enumerate()
        {
            cases.spawn(changes_after((place, part), fault.clone()));
        }
    }
    cases.join_all().await;
}

async fn changes_after((place, part): (usize, &str), fault: Fault) {
    let planned = Planned::working().await;
    let (driven, ids) = (&planned.driven, planned.driven.test.ids);
    driven.test.portal.fail_on(part, fault.clone());
    driven.lock(&planned.key).await;
    driven.until_followed(DONE).await;
    assert_eq!(planned.plan_there(), planned.read_only, "{part} {fault:?}");
    // The plans are read for the first change only.
    let is_undone_in_vain = place != 1;
    if is_undone_in_vain {
        driven.test.portal.fail_on(part, fault.clone());
    }
    driven.unlock(&planned.key).await;
    driven.until_followed(None).await;
    assert_eq!(planned.plan_there(), ids.plan, "{part} {fault:?}");
    let problems = driven.events("key_source_problem").await.len();
    assert_eq!(problems, if is_undone_in_vain { 2 } else { 1 }, "{part} {fault:?}");
    assert_eq!(driven.sync().await.changed, 0, "{part} {fault:?}");
}

#[tokio::test]
async fn a_plan_that_somebody_chose_there_meanwhile_is_kept_and_said() {
    for is_locked in [true, false] {
        let planned = Planned::working().await;
        let (driven, ids) = (&planned.driven, planned.driven.test.ids);
        driven.lock(&planned.key).await;
        driven.until_followed(DONE).await;
        planned.choose_there(ids.other_plan);
        if is_locked {
            let said = driven.sync().await.changes;
            assert!(said[0].contains("was put on another plan in 3scale"), "{said:?}");
            let overruled = Some("put on another plan there while it is locked here");
            driven.until_followed(overruled).await;
            assert_eq!(planned.plan_here().await, "other", "as `plans` has it");
            assert_eq!(driven.keys().await[0].state, "locked");
            assert_eq!(driven.sync().await.changed, 0);
        }
        driven.unlock(&planned.key).await;
        driven.until_followed(None).await;
        assert_eq!(planned.plan_there(), ids.other_plan);
        assert_eq!(planned.puts(), 1);
        let said = driven.events("key_source_problem").await;
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].contains("put on another plan"), "{said:?}");
    }
}

#[tokio::test]
async fn an_application_that_was_on_the_plan_before_stays_there() {
    let planned = Planned::working().await;
    planned.choose_there(planned.read_only);
    planned.driven.lock(&planned.key).await;
    planned.driven.until_followed(Some("on the plan \"Read only\" there already")).await;
    planned.driven.unlock(&planned.key).await;
    planned.driven.until_followed(None).await;
    assert_eq!((planned.plan_there(), planned.puts()), (planned.read_only, 0));
}

#[tokio::test]
async fn a_plan_that_is_not_there_is_found_by_the_check_and_tried_again() {
    let (tenant, ids) = tenant();
    let on_lock = |settings| DriveSettings {
        on_lock: OnLock::ChangePlan("Read onyl".to_owned()),
        ..settings
    };
    let mut driven = Driven::with(tenant, ids, on_lock).await;
    driven.sync().await;
    let found = driven.account.check(driven.engine()).await.unwrap();
    let problems = found.iter().filter(|finding| finding.level == FindingLevel::Problem);
    let problems: Vec<_> = problems.map(|finding| finding.message.as_str()).collect();
    let missing = "there is no plan \"Read onyl\" there: locks here cannot be followed";
    assert_eq!(problems, [missing]);
    driven.work();
    let key = driven.keys().await[0].id.clone();
    driven.lock(&key).await;
    driven.until_followed(Some("failed: there is no plan \"Read onyl\" there")).await;
    let lock = driven.show().await.locks[0].clone();
    assert!(lock.state.contains("Basic, Unlimited") && lock.next.is_some(), "{lock:?}");
    driven.unlock(&key).await;
    driven.until_followed(None).await;
}

#[tokio::test]
async fn a_suspension_there_is_followed_whatever_plan_a_lock_asked_for() {
    let planned = Planned::working().await;
    let (driven, ids) = (&planned.driven, planned.driven.test.ids);
    driven.lock(&planned.key).await;
    driven.until_followed(DONE).await;
    driven.test.portal.tenant().application_mut(ids.application).state = State::Suspended;
    let said = driven.sync().await.changes;
    assert!(said[0].contains("may not call there, and is suspended here"), "{said:?}");
    driven.unlock(&planned.key).await;
    driven.until_followed(None).await;
    assert_eq!(planned.plan_there(), ids.plan);
}

#[tokio::test]
async fn a_crash_in_the_middle_of_a_change_leaves_a_plan_that_is_changed_back() {
    for is_carried_out in [true, false] {
        let mut planned = Planned::start().await;
        let ids = planned.driven.test.ids;
        planned.driven.lock(&planned.key).await;
        planned.driven.test.portal.fail_on("/change_plan.json", Fault::Slow(NEVER));
        planned.driven.work();
        while planned.puts() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        planned.driven.restart().await;
        if is_carried_out {
            planned.choose_there(planned.read_only);
        }
        planned.driven.work();
        planned.driven.until_followed(DONE).await;
        assert_eq!(planned.plan_there(), planned.read_only);
        planned.driven.unlock(&planned.key).await;
        planned.driven.restart().await;
        planned.driven.work();
        planned.driven.until_followed(None).await;
        assert_eq!(planned.plan_there(), ids.plan);
        assert_eq!(planned.plan_here().await, "open");
    }
}
