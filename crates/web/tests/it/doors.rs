//! Who is let in to the admin API.

use http::StatusCode;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use serde_json::json;

use keystile_web::Access;

use crate::test_console::TestConsole;

#[tokio::test]
async fn a_token_that_has_ended_or_was_revoked_opens_nothing() {
    let mut console = TestConsole::new();
    let ends = Timestamp(console.engine().store().now().0 + 3_600_000);
    let (short, long) = (
        console.token_until("short", Scope::Read, Some(ends)).await,
        console.token_until("long", Scope::Read, None).await,
    );
    for token in [&short, &long] {
        console.get("/api/v1/status").token(token).send().await.good();
    }
    console.later(3_600_000);
    console.revoke_token("long").await;
    for token in [&short, &long] {
        let told = console.get("/api/v1/status").token(token).send().await;
        insta::allow_duplicates! {
            insta::assert_snapshot!(told.text, @r#"{"type":"urn:keystile:problem:not_known","title":"Authentication required","status":401,"detail":"This token does not work: it never did, it has ended, or it was revoked","help":"send `Authorization: Bearer kst_...`; an owner makes tokens at the console, under Settings"}"#);
        }
        assert!(told.header("www-authenticate").ends_with("error=\"invalid_token\""));
    }
}

#[tokio::test]
async fn whoever_guesses_tokens_has_to_wait_and_whoever_has_one_does_not() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    let forged = token.replace(&token[10..14], "AAAA");
    let mut slowed = 0;
    for _ in 0..40 {
        let told = console.get("/api/v1/status").token(&forged).from("203.0.113.9").send().await;
        if told.status == 429 {
            told.problem(429);
            assert!(told.header("retry-after").parse::<u64>().unwrap() > 0);
            slowed += 1;
        }
    }
    assert!(slowed >= 19, "{slowed}");
    console.get("/api/v1/status").token(&token).from("203.0.113.9").send().await.good();
    console.get("/api/v1/status").token(&forged).from("203.0.113.10").send().await.problem(401);
}

#[tokio::test]
async fn a_token_that_is_shown_counts_alone() {
    let console = TestConsole::new();
    let (cookie, read) = (console.cookie("Ada").await, console.token(Scope::Read).await);
    // The cookie would allow it; the token that was named does not.
    let both = console.post("/api/v1/owners/links").cookie(&cookie).token(&read);
    both.send().await.problem(403);
    let broken = console.get("/api/v1/status").cookie(&cookie).token("kst_x");
    broken.send().await.problem(401);
    for odd in ["Basic YTpi", "Bearer", "kst_x"] {
        let odd = console.get("/api/v1/status").cookie(&cookie).header("authorization", odd);
        odd.send().await.problem(401);
    }
    let write = console.token_until("robot", Scope::Write, None).await;
    let new = console.post("/api/v1/applications").cookie(&cookie).token(&write);
    new.json(json!({ "name": "reader", "plan": "open" })).send().await.good();
    let events = console.get("/api/v1/audit?limit=1").token(&read).send().await.good();
    assert_eq!(events["items"][0]["actor"], json!({ "by": "token", "name": "robot" }));
}

#[tokio::test]
async fn an_owner_acts_with_their_cookie_and_under_their_name() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let new = console.post("/api/v1/keys").cookie(&cookie);
    new.json(json!({ "application": "reader", "plan": "open" })).send().await.good();
    let events = console.get("/api/v1/audit?kind=key_created").cookie(&cookie).send().await.good();
    assert_eq!(events["items"][0]["actor"], json!({ "by": "owner", "name": "Ada" }));
}

#[tokio::test]
async fn what_cannot_be_undone_needs_an_owner_who_authenticated_recently() {
    let mut console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    console.post("/api/v1/owners/links").cookie(&cookie).send().await.good();
    console.later(3_600_000);
    let before = console.events().await;
    let asks = [
        ("/api/v1/owners/links".to_owned(), json!({})),
        ("/api/v1/tokens".to_owned(), json!({ "name": "robot", "scope": "read" })),
        ("/api/v1/backups".to_owned(), json!({})),
        ("/api/v1/policy/reload".to_owned(), json!({})),
        (format!("/api/v1/keys/{key}/revoke"), json!({})),
        (format!("/api/v1/keys/{key}/unlock"), json!({ "budgets": "reset" })),
    ];
    for (path, body) in asks {
        let told = console.post(&path).cookie(&cookie).json(body).send().await;
        let problem = told.problem(403);
        assert_eq!(problem["type"], "urn:keystile:problem:proof_wanted", "{path}");
        assert!(problem["help"].as_str().unwrap().contains("/prove"));
    }
    assert_eq!(console.events().await, before);
    // What can be undone does not.
    let lock = console.post(&format!("/api/v1/keys/{key}/lock")).cookie(&cookie);
    lock.json(json!({ "level": "all", "reason": "looks odd" })).send().await.good();
    let keep = console.post(&format!("/api/v1/keys/{key}/unlock")).cookie(&cookie);
    keep.json(json!({ "budgets": "keep" })).send().await.good();
}

#[tokio::test]
async fn a_session_that_has_ended_opens_nothing() {
    let mut console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    console.get("/api/v1/keys").cookie(&cookie).send().await.good();
    console.later(400 * 86_400_000);
    console.get("/api/v1/keys").cookie(&cookie).send().await.problem(401);
    let twice = format!("{cookie}; {}=other", console.cookie_name(7080));
    console.get("/api/v1/keys").cookie(&twice).send().await.problem(401);
}

#[tokio::test]
async fn signing_in_gives_a_new_cookie_and_ends_the_session_that_the_browser_brought_along() {
    let console = TestConsole::new();
    let brought = console.cookie("Mallory").await;
    let link = console.claim_link().await;
    let form = "name=Ada&password=a+long+enough+sentence";
    let told = console
        .post(&format!("/claim/{}", link.secret.expose()))
        .cookie(&brought)
        .header("sec-fetch-site", "same-origin")
        .header("content-type", "application/x-www-form-urlencoded")
        .text(form)
        .send()
        .await;
    assert_eq!(told.status, 303, "{}", told.text);
    let given = told.header("set-cookie").split(';').next().unwrap().to_owned();
    assert_ne!(given, brought);
    assert!(told.header("set-cookie").contains("HttpOnly; SameSite=Lax"));
    console.get("/api/v1/keys").cookie(&given).send().await.good();
    console.get("/api/v1/keys").cookie(&brought).send().await.problem(401);
}

const HEALTH: [&str; 2] = ["/healthz", "/readyz"];

#[tokio::test]
async fn metrics_and_health_are_read_only_by_whom_the_owner_lets_read_them() {
    let open = TestConsole::new();
    let with = |health, metrics| {
        TestConsole::with(|settings| (settings.health, settings.metrics) = (health, metrics))
    };
    let token_for_metrics = with(Access::Open, Access::Token);
    let closed = with(Access::Token, Access::Off);
    let all_off = with(Access::Off, Access::Off);
    for path in HEALTH.into_iter().chain(["/metrics"]) {
        assert_eq!(open.get(path).send().await.status, 200);
        assert_eq!(all_off.get(path).send().await.status, 404);
    }
    let (cookie, token) = (closed.cookie("Ada").await, closed.token(Scope::Read).await);
    assert_eq!(closed.get("/metrics").token(&token).send().await.status, 404);
    for path in HEALTH {
        assert_eq!(token_for_metrics.get(path).send().await.status, 200);
        let refused = closed.get(path).send().await;
        assert!(refused.header("www-authenticate").starts_with("Bearer"));
        refused.problem(401);
        closed.get(path).cookie(&cookie).send().await.problem(401);
        closed.get(path).token("kst_x").send().await.problem(401);
        let answer = closed.get(path).token(&token).send().await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let token = token_for_metrics.token(Scope::Read).await;
    let answer = token_for_metrics.get("/metrics").token(&token).send().await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "keystile_keys 0\n"));
    let refused = token_for_metrics.get("/metrics").send().await;
    assert!(!refused.text.contains("keystile_keys"), "{}", refused.text);
    // Pages and the API do not change with it.
    closed.get("/api/v1/status").token(&closed.token(Scope::Read).await).send().await.good();
}

#[tokio::test]
async fn a_console_with_tls_and_a_name_of_its_own_keeps_browsers_to_https() {
    let console = TestConsole::with(|settings| {
        settings.is_secure = true;
        settings.url = Some("https://console.example.org".to_owned());
    });
    let field = "strict-transport-security";
    for path in ["/sign-in", "/nowhere", "/api/v1/status", "/assets/console.css"] {
        let answer = console.get(path).host("console.example.org").send().await;
        assert_eq!(answer.header(field), "max-age=31536000", "{path}: {}", answer.status);
    }
    let answer = console.get("/sign-in").host("localhost:7080").send().await;
    assert!(!answer.headers.contains_key(field));
    let answer = TestConsole::new().get("/sign-in").send().await;
    assert!(!answer.headers.contains_key(field));
}
