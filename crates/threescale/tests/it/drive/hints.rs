//! Webhooks are hints: what they name is read from the portal, and nothing in them is believed.

use std::time::{Duration, Instant};

use keystile_core::notifications::channel::SecretSource;
use keystile_engine::KeySource as _;
use keystile_engine::findings::FindingLevel;
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::State;
use keystile_threescale_standin::webhook::{Action, event};

use super::setup::Driven;
use crate::setup::tenant;

const NAME: &str = "Acme Ltd – Importer";
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// An account that works by itself, with one application that was brought over, and no reading to come.
async fn working() -> Driven {
    let mut driven = Driven::start().await;
    driven.sync().await;
    let before = driven.show().await.synchronized;
    driven.work();
    until("the first reading is over", async || driven.show().await.synchronized != before).await;
    driven.test.portal.take_received();
    driven
}

async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

impl Driven {
    fn hint(&self, body: &[u8]) {
        self.account.take_hint(self.engine(), body);
    }

    /// What the portal would send of the application.
    fn event(&self, action: Action) -> String {
        event(&self.test.portal.tenant(), self.test.ids.application, action)
    }

    fn reads(&self, part: &str) -> usize {
        let received = self.test.portal.take_received();
        received.iter().filter(|request| request.target.contains(part)).count()
    }
}

#[tokio::test]
async fn a_hook_has_its_application_read_and_not_the_whole_list() {
    let driven = working().await;
    let ids = driven.test.ids;
    driven.test.portal.tenant().application_mut(ids.application).plan = ids.other_plan;
    driven.hint(driven.event(Action::PlanChanged).as_bytes());
    until("the plan follows", async || driven.application(NAME).await.application.plan == "other")
        .await;
    assert_eq!(driven.reads("applications.json"), 0);
    assert!(driven.show().await.hints.is_none(), "no address is shown where no secret is set up");
}

#[tokio::test]
async fn nothing_that_a_hook_says_is_believed() {
    let driven = working().await;
    let mut lies = driven.event(Action::Deleted);
    lies = lies.replace("<state>live</state>", "<state>suspended</state>");
    driven.hint(lies.as_bytes());
    until("it was read", async || driven.reads("find.json") > 0).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(driven.keys().await[0].state, "active");
    assert_eq!(driven.events("application_suspended").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_hook_that_cannot_be_read_has_everything_looked_at() {
    let driven = working().await;
    let ids = driven.test.ids;
    {
        let mut tenant = driven.test.portal.tenant();
        tenant.add_application(ids.account, ids.plan, "Exporter");
    }
    driven.hint(&[0xff, b'<', 0, b'&']);
    until("the new one came over", async || driven.names().await.len() == 2).await;
    assert_eq!(driven.reads("applications.json"), 1);
}

#[tokio::test]
async fn a_flood_of_hooks_makes_few_readings() {
    let driven = working().await;
    let hook = driven.event(Action::Updated);
    for number in 0..2_000 {
        driven.hint(hook.as_bytes());
        if number % 100 == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let reads = driven.reads("find.json");
    assert!((1..=4).contains(&reads), "{reads}");
    let other = |id: u64| hook.replace("<application><id>", &format!("<application><id>{id}"));
    for id in 0..2_000 {
        driven.hint(other(id).as_bytes());
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let received = driven.test.portal.take_received();
    assert!(received.len() < 50, "{}", received.len());
}

#[tokio::test]
async fn a_hook_that_meets_a_portal_that_fails_is_not_lost() {
    let driven = working().await;
    let ids = driven.test.ids;
    driven.test.portal.tenant().application_mut(ids.application).state = State::Suspended;
    driven.test.portal.fail_on("services.json", Fault::json(503, "{}"));
    driven.hint(driven.event(Action::Suspended).as_bytes());
    until("it is followed", async || driven.events("application_suspended").await.len() == 1).await;
}

#[tokio::test]
async fn an_application_that_is_gone_loses_its_keys_only_when_the_whole_list_says_so() {
    let driven = working().await;
    let hook = driven.event(Action::Deleted);
    driven.test.portal.tenant().remove_application(driven.test.ids.application);
    driven.hint(hook.as_bytes());
    until("its key is revoked", async || driven.keys().await[0].state == "revoked").await;
    assert_eq!(driven.reads("applications.json"), 1);
}

#[tokio::test]
async fn the_address_of_hooks_is_shown_and_the_secret_in_it_is_not() {
    let (tenant, ids) = tenant();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hook");
    let source = SecretSource::File(path.clone());
    let driven = Driven::with(tenant, ids, |settings| DriveSettings {
        webhook_secret: Some(source),
        ..settings
    })
    .await;
    let found = async || {
        let found = driven.account.check(driven.engine()).await.unwrap();
        let of_hooks = found.into_iter().find(|finding| finding.message.contains("webhook"));
        of_hooks.unwrap()
    };
    assert_eq!(found().await.level, FindingLevel::Problem);
    assert_eq!(driven.account.hint_secret(), None);
    std::fs::write(&path, "TOP secret").unwrap();
    let finding = found().await;
    assert!(finding.message.contains("holds no webhook secret"), "{finding:?}");
    assert!(!finding.message.contains("TOP"), "{finding:?}");
    let secret = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
    std::fs::write(&path, format!("{secret}\n")).unwrap();
    let (finding, shown) = (found().await, driven.show().await);
    assert_eq!(finding.level, FindingLevel::Good);
    let hints = shown.hints.unwrap();
    assert_eq!(hints.address, "https://console.example.org/hooks/keys/");
    assert!(finding.message.contains(&hints.address) && hints.problem.is_none());
    assert!(!format!("{finding:?}{hints:?}").contains(secret));
    assert_eq!(driven.account.hint_secret().as_deref(), Some(secret));
}
