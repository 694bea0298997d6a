//! Budgets that several keys share, as owners see them: on the page of an application, of its keys and of plans.

use keystile_core::budget::Per;
use keystile_core::owners::scope::Scope;
use keystile_core::refusal::Reason;
use keystile_engine::admission::relayed::RelayedWrite;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::keys::key::{KeyView, ShowKey};
use serde_json::json;

use crate::test_console::{TestConsole, shell};

/// Three keys of one application.
async fn keys(console: &TestConsole) -> Vec<KeyView> {
    let plan = Some("team".to_owned());
    let command = CreateKeys { application: "räder & co".to_owned(), plan, count: 3 };
    let issued = console.engine().execute(&shell(), command).await.unwrap();
    let mut keys = Vec::new();
    for key in issued {
        let show = ShowKey { key: key.id.clone() };
        keys.push(console.engine().execute(&shell(), show).await.unwrap().key);
    }
    keys
}

/// A write that another gateway sends.
async fn write(console: &TestConsole, key: &KeyView) -> Result<(), Reason> {
    let engine = console.engine();
    let row =
        engine.store().key(keystile_store::keys::KeyRef::Named(key.id.clone())).await.unwrap();
    let write = RelayedWrite {
        api: "notes",
        key: engine.store().keys().find(&row.hash).unwrap(),
        operation: "post",
        cost: 1,
        address: "192.0.2.7".parse().unwrap(),
    };
    engine.reserve_relayed(write).await.map(|reserved| reserved.unwrap().hand_over(engine))
}

const PATH: &str = "/applications/r%C3%A4der%20%26%20co";

#[tokio::test]
async fn an_application_past_a_budget_that_its_keys_share_shows_it_and_is_unlocked_as_a_whole() {
    let console = TestConsole::with_plan(
        "team",
        &[("2 per day", Per::Application), ("9 per day", Per::Plan)],
    );
    let (cookie, token) = (console.cookie("Ada").await, console.token(Scope::Write).await);
    let keys = keys(&console).await;
    let page = |path: String| {
        let ask = console.get(&path).cookie(&cookie);
        async { ask.send().await.text }
    };
    write(&console, &keys[0]).await.unwrap();
    let shown = page(PATH.to_owned()).await;
    assert!(shown.contains("application-writes-day, 2 per day"), "{shown}");
    assert!(shown.contains("for all keys of the application") && shown.contains("1 of 2 used"));
    assert!(shown.contains("plan-writes-day, 9 per day") && shown.contains("1 of 9 used"));
    write(&console, &keys[1]).await.unwrap();
    assert_eq!(write(&console, &keys[2]).await, Err(Reason::KeyLocked));

    let why = "The application went over its write budget application-writes-day, 2 per day for all of its keys";
    let shown = page(PATH.to_owned()).await;
    assert!(shown.contains(why) && shown.contains("2 of 2 used"), "{shown}");
    assert!(shown.contains("POST /post from 192.0.2.7"), "the request that did it");
    assert!(shown.contains(&format!("action=\"{PATH}/unlock\"")), "{shown}");
    for key in &keys {
        let shown = page(format!("/keys/{}", key.id)).await;
        assert!(shown.contains(why), "each key says why: {shown}");
        assert!(!shown.contains(&format!("action=\"/keys/{}/unlock\"", key.id)), "{shown}");
    }
    let now = page("/".to_owned()).await;
    assert!(now.contains("One application is locked.") && now.contains(why), "{now}");
    assert!(page("/policy".to_owned()).await.contains("2 of 9 used"));

    let one = console.post(&format!("/api/v1/keys/{}/unlock", keys[0].id)).token(&token);
    let one = one.json(json!({ "budgets": "keep" })).send().await.problem(409);
    assert!(one.to_string().contains("keystile application unlock"), "{one}");
    let api = format!("/api/v1{PATH}");
    let details = console.get(&api).token(&token).send().await.good();
    assert_eq!(details["lock"]["on"], "application");
    assert_eq!(details["budgets"][0]["per"], "application");
    assert_eq!(
        (&details["budgets"][0]["used"], &details["budgets"][0]["plan"]),
        (&json!(2), &json!("team"))
    );
    assert_eq!(details["keys_list"][2]["state"], "locked");
    let plans = console.get("/api/v1/plan-budgets").token(&token).send().await.good();
    assert_eq!((&plans[0]["plan"], &plans[0]["used"]), (&json!("team"), &json!(2)));

    let unlocked = console.post(&format!("{PATH}/unlock")).cookie(&cookie).form(&[]).send().await;
    assert_eq!(unlocked.status, 303);
    let details = console.get(&api).token(&token).send().await.good();
    assert_eq!(
        (&details["lock"], &details["keys_list"][0]["state"]),
        (&json!(null), &json!("active"))
    );
    assert_eq!(
        write(&console, &keys[0]).await,
        Err(Reason::KeyLocked),
        "what was counted stays counted"
    );
    let reset = console.post(&format!("{api}/unlock")).token(&token);
    reset.json(json!({ "budgets": "reset" })).send().await.good();
    write(&console, &keys[0]).await.unwrap();
    let shown = page(PATH.to_owned()).await;
    assert!(shown.contains("1 of 2 used") && shown.contains("3 of 9 used"), "{shown}");
}
