//! The live stream.

use axum::body::BodyDataStream;
use futures_util::StreamExt;
use keystile_core::scope::Scope;

use crate::desk::{Desk, cli};

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
    let desk = Desk::new();
    let token = desk.token(Scope::Read).await;
    let response = desk.get("/api/v1/events").token(&token).response().await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut watching = response.into_body().into_data_stream();
    assert!(comes(&mut watching, "event: hello").await);
    // The feed begins with its first look.
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    desk.refusals(1, "/notes/77").await;
    assert!(comes(&mut watching, "/notes/77").await);
    desk.get("/api/v1/events").send().await.problem(401);
}

#[tokio::test]
async fn a_watcher_whose_token_is_revoked_is_not_told_for_long() {
    let desk = Desk::new();
    let token = desk.token_until("watcher", Scope::Read, None).await;
    let response = desk.get("/api/v1/events").token(&token).response().await;
    let mut watching = response.into_body().into_data_stream();
    assert!(comes(&mut watching, "event: hello").await);
    desk.engine().revoke_token("watcher", cli()).await.unwrap();
    tokio::time::pause();
    tokio::time::advance(std::time::Duration::from_secs(16)).await;
    tokio::time::resume();
    desk.key("reader").await;
    let ends =
        tokio::time::timeout(std::time::Duration::from_secs(30), comes(&mut watching, "never"));
    assert!(!ends.await.unwrap());
}
