//! Settings of an account that change while it is driven.

use std::time::Duration;

use keystile_threescale::drive::settings::OnLock;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::State;

use super::setup::Driven;

const NAME: &str = "Acme Ltd – Importer";

async fn working() -> (Driven, String) {
    let mut driven = Driven::start().await;
    driven.sync().await;
    driven.work();
    let key = driven.keys().await[0].id.clone();
    (driven, key)
}

fn state_there(driven: &Driven) -> State {
    driven.test.portal.tenant().application(driven.test.ids.application).state
}

#[tokio::test]
async fn a_lock_is_undone_as_it_was_done_whatever_settings_say_by_then() {
    let (mut driven, key) = working().await;
    driven.lock(&key).await;
    driven.until_followed(Some("suspended there")).await;
    driven
        .change(|settings| {
            settings.on_lock = OnLock::ChangePlan("Unlimited".to_owned());
            settings.plans.insert("Basic".to_owned(), "trusted".to_owned());
        })
        .await;
    while driven.application(NAME).await.application.plan != "trusted" {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    driven.until_followed(Some("suspended there")).await;
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(state_there(&driven), State::Live);
    driven.lock(&key).await;
    driven.until_followed(Some("put on the plan \"Unlimited\" there")).await;
    // Where nothing is asked any more, what was asked is taken back.
    driven.change(|settings| settings.on_lock = OnLock::Nothing).await;
    driven.until_followed(None).await;
    let plan = driven.test.portal.tenant().application(driven.test.ids.application).plan;
    assert_eq!(plan, driven.test.ids.plan);
    assert_eq!(driven.keys().await[0].state, "locked");
}

#[tokio::test]
async fn a_change_in_the_middle_of_a_request_suspends_once_and_resumes() {
    let (mut driven, key) = working().await;
    driven.test.portal.take_received();
    driven.test.portal.fail_on("/suspend.json", Fault::Slow(Duration::from_millis(700)));
    driven.lock(&key).await;
    let mut puts = 0;
    while puts == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let received = driven.test.portal.take_received();
        puts += received.iter().filter(|request| request.method == "PUT").count();
    }
    driven.change(|settings| settings.default_plan = None).await;
    driven.until_followed(Some("suspended there")).await;
    let received = driven.test.portal.take_received();
    puts += received.iter().filter(|request| request.method == "PUT").count();
    assert_eq!((puts, state_there(&driven)), (1, State::Suspended));
    driven.unlock(&key).await;
    driven.until_followed(None).await;
    assert_eq!(state_there(&driven), State::Live);
}
