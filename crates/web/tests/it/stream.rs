//! The live stream.

use std::time::Duration;

use axum::body::BodyDataStream;
use axum::response::Response;
use futures_util::StreamExt;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::session::SESSION_IDLE_MAX;
use keystile_core::time::Span;
use keystile_engine::owners::owner::RemoveOwner;

use crate::test_console::{TestConsole, shell};

/// Reads until a text comes, or the stream ends; says whether it came.
async fn comes(watching: &mut BodyDataStream, text: &str) -> bool {
    let mut read = String::new();
    while let Some(part) = watching.next().await {
        read.push_str(str::from_utf8(&part.unwrap()).unwrap());
        if read.contains(text) {
            return true;
        }
    }
    false
}

#[tokio::test]
async fn a_token_of_scope_read_watches() {
    let console = TestConsole::new();
    let token = console.token(Scope::Read).await;
    let response = console.get("/api/v1/events").token(&token).response().await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut watching = watching(&console, response).await;
    console.refusals(1, "/notes/77").await;
    assert!(comes(&mut watching, "/notes/77").await);
    console.get("/api/v1/events").send().await.problem(401);
}

/// Reads a stream to its end; says what it told, and fails where it goes on for long.
async fn rest(watching: &mut BodyDataStream) -> String {
    let read = async {
        let mut read = String::new();
        while let Some(part) = watching.next().await {
            read.push_str(str::from_utf8(&part.unwrap()).unwrap());
        }
        read
    };
    tokio::time::timeout(Duration::from_secs(4), read).await.expect("the stream ends")
}

/// A stream that has begun: the feed shows what happens after its first look at the journal.
async fn watching(console: &TestConsole, response: Response) -> BodyDataStream {
    let mut watching = response.into_body().into_data_stream();
    assert!(comes(&mut watching, "event: hello").await);
    for _ in 0..100 {
        console.refusals(1, "/notes/first").await;
        let first = comes(&mut watching, "/notes/first");
        if tokio::time::timeout(Duration::from_millis(100), first).await == Ok(true) {
            return watching;
        }
    }
    panic!("the feed does not begin");
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_token_is_revoked_and_tells_nothing_more() {
    let console = TestConsole::new();
    let token = console.token_until("watcher", Scope::Read, None).await;
    let mut watching =
        watching(&console, console.get("/api/v1/events").token(&token).response().await).await;
    console.revoke_token("watcher").await;
    console.refusals(1, "/notes/secret").await;
    let told = rest(&mut watching).await;
    assert!(!told.contains("/notes/secret"), "{told}");
}

#[tokio::test]
async fn a_quiet_stream_ends_soon_after_its_token_expired() {
    let console = TestConsole::new();
    let expires = console.engine().store().now().plus(Span::from_secs(2));
    let token = console.token_until("watcher", Scope::Read, Some(expires)).await;
    let mut watching =
        watching(&console, console.get("/api/v1/events").token(&token).response().await).await;
    rest(&mut watching).await;
    assert!(console.engine().store().now() >= expires, "not before");
}

#[tokio::test]
async fn a_stream_ends_soon_after_its_owner_signed_out_or_was_removed() {
    let console = TestConsole::new();
    let (ada, bob) = (console.cookie("Ada").await, console.cookie("Bob").await);
    let mut of_ada =
        watching(&console, console.get("/api/v1/events").cookie(&ada).response().await).await;
    let mut of_bob =
        watching(&console, console.get("/api/v1/events").cookie(&bob).response().await).await;
    assert_eq!(console.post("/sign-out").cookie(&ada).send().await.status, 303);
    rest(&mut of_ada).await;
    console.engine().execute(&shell(), RemoveOwner { owner: "Bob".to_owned() }).await.unwrap();
    rest(&mut of_bob).await;
}

#[tokio::test]
async fn a_stream_ends_at_the_idle_limit_although_its_page_freshens_itself() {
    let mut console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    console.later(SESSION_IDLE_MAX.millis() - 3_000);
    let open = console.get("/api/v1/events").cookie(&cookie).header("keystile-refresh", "1");
    let mut watching = watching(&console, open.response().await).await;
    let page = console.get("/").cookie(&cookie).header("keystile-refresh", "1").send().await;
    assert_eq!(page.status, 200);
    let told = rest(&mut watching).await;
    assert!(!told.contains("event: lagged"));
    assert_eq!(console.get("/").cookie(&cookie).send().await.status, 303, "signed out");
}

#[tokio::test]
async fn a_stream_whose_watcher_does_not_read_ends_too() {
    let console = TestConsole::new();
    let token = console.token_until("watcher", Scope::Read, None).await;
    let mut watching =
        watching(&console, console.get("/api/v1/events").token(&token).response().await).await;
    // More than waits for a watcher: the next message has no place.
    for number in 0..20 {
        console.refusals(1, &format!("/notes/{number}")).await;
        tokio::time::sleep(Duration::from_millis(520)).await;
    }
    console.revoke_token("watcher").await;
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    console.refusals(1, "/notes/secret").await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!rest(&mut watching).await.contains("/notes/secret"));
}
