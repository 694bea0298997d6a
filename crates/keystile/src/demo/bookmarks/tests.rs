//! The sample API over real sockets.

use bytes::Bytes;
use http::Response;
use http::header::{ALLOW, CONTENT_TYPE, LOCATION};
use http_body_util::Full;
use serde_json::{Value, json};

use super::super::traffic::Caller;
use super::*;

struct TestApi {
    _folder: tempfile::TempDir,
    _api: Api,
    caller: Caller,
}

async fn test_api(seeds: u32) -> TestApi {
    let folder = tempfile::tempdir().unwrap();
    let api = Api::start(&folder.path().join("bookmarks.db"), seeds).await.unwrap();
    let caller = Caller { address: api.address, application: "test", key: None };
    TestApi { _folder: folder, _api: api, caller }
}

fn of(url: &str, title: &str) -> Value {
    json!({ "url": url, "title": title })
}

impl TestApi {
    async fn send(&self, method: &str, path: &str) -> (u16, Value) {
        let reply = self.caller.send(method.parse().unwrap(), path).await.unwrap();
        (reply.status.as_u16(), reply.body)
    }

    async fn send_json(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let reply = self.caller.send_json(method.parse().unwrap(), path, &body).await.unwrap();
        (reply.status.as_u16(), reply.body)
    }

    async fn raw(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
    ) -> Response<Bytes> {
        let request =
            self.caller.request(method.parse().unwrap(), path).header(CONTENT_TYPE, content_type);
        self.caller.exchange(request.body(Full::from(body.into())).unwrap()).await.unwrap()
    }
}

#[tokio::test]
async fn a_bookmark_lives_from_post_to_delete() {
    let api = test_api(0).await;
    let mine = of("https://example.org/a?b=c", "Mine");
    let kept = json!({ "id": 1, "url": "https://example.org/a?b=c", "title": "Mine" });
    assert_eq!(api.send("GET", "/bookmarks").await, (200, json!([])));
    assert_eq!(api.send_json("POST", "/bookmarks", mine).await, (201, kept.clone()));
    assert_eq!(api.send("GET", "/bookmarks/1").await, (200, kept.clone()));
    assert_eq!(api.send("GET", "/bookmarks").await, (200, json!([kept])));

    let other = of("http://localhost:80", "Überall 日本");
    let replaced = json!({ "id": 1, "url": "http://localhost:80", "title": "Überall 日本" });
    assert_eq!(api.send_json("PUT", "/bookmarks/1", other).await, (200, replaced));
    let patched = json!({ "id": 1, "url": "http://localhost:80", "title": "New" });
    assert_eq!(
        api.send_json("PATCH", "/bookmarks/1", json!({ "title": "New" })).await,
        (200, patched.clone())
    );
    assert_eq!(api.send("GET", "/bookmarks/1").await, (200, patched));

    assert_eq!(api.send("DELETE", "/bookmarks/1").await, (204, Value::Null));
    for method in ["GET", "DELETE"] {
        let (status, problem) = api.send(method, "/bookmarks/1").await;
        assert_eq!((status, &problem["detail"]), (404, &json!("There is no bookmark 1.")));
    }
    let draft = of("https://example.org", "Mine");
    for method in ["PUT", "PATCH"] {
        assert_eq!(api.send_json(method, "/bookmarks/1", draft.clone()).await.0, 404);
    }
    // A number is never given again.
    assert_eq!(api.send_json("POST", "/bookmarks", draft).await.1["id"], 2);
}

#[tokio::test]
async fn a_new_bookmark_tells_its_place_and_head_has_no_body() {
    let api = test_api(0).await;
    let body = r#"{"url":"https://example.org","title":"Mine"}"#;
    let created = api.raw("POST", "/bookmarks", "Application/JSON; charset=utf-8", body).await;
    assert_eq!(created.status(), 201);
    assert_eq!(created.headers()[LOCATION], "/bookmarks/1");
    let head = api.raw("HEAD", "/bookmarks/1", "", "").await;
    assert_eq!((head.status(), head.body().len()), (StatusCode::OK, 0));
    assert_eq!(head.headers()[CONTENT_TYPE], "application/json");
}

#[tokio::test]
async fn a_listing_goes_page_by_page() {
    let api = test_api(25).await;
    let ids = |page: Value| -> Vec<i64> {
        page.as_array().unwrap().iter().map(|entry| entry["id"].as_i64().unwrap()).collect()
    };
    let (_, first) = api.send("GET", "/bookmarks").await;
    assert_eq!(ids(first), (1..=20).collect::<Vec<_>>());
    let (_, last) = api.send("GET", "/bookmarks?after=20&limit=100").await;
    assert_eq!(ids(last), (21..=25).collect::<Vec<_>>());
    for query in ["limit=0", "limit=101", "limit=ten", "limit", "after=x", "sort=title"] {
        assert_eq!(api.send("GET", &format!("/bookmarks?{query}")).await.0, 400, "{query}");
    }
}

#[tokio::test]
async fn what_is_no_bookmark_is_refused_and_changes_nothing() {
    let api = test_api(1).await;
    let (_, before) = api.send("GET", "/bookmarks").await;
    let long = format!("https://example.org/{}", "x".repeat(2000));
    for draft in [
        json!({}),
        json!([]),
        json!("https://example.org"),
        json!({ "url": "https://example.org" }),
        json!({ "url": "https://example.org", "title": 7 }),
        json!({ "url": "https://example.org", "title": "Mine", "id": 9 }),
        of("https://example.org", ""),
        of("https://example.org", "  "),
        of("https://example.org", "a\u{1b}[2J"),
        of("https://example.org", &"x".repeat(201)),
        of("javascript:alert(1)", "Mine"),
        of("https://", "Mine"),
        of("https://exa mple.org", "Mine"),
        of("/bookmarks", "Mine"),
        of(&long, "Mine"),
    ] {
        for (method, path) in [("POST", "/bookmarks"), ("PUT", "/bookmarks/1")] {
            let (status, problem) = api.send_json(method, path, draft.clone()).await;
            let told = (status, problem["status"].as_u64());
            assert_eq!(told, (400, Some(400)), "{method} {draft}");
        }
    }
    for change in [json!({}), json!({ "title": null }), json!({ "title": "" }), json!({ "id": 2 })]
    {
        assert_eq!(api.send_json("PATCH", "/bookmarks/1", change.clone()).await.0, 400, "{change}");
    }
    assert_eq!(api.send("GET", "/bookmarks").await.1, before);
}

#[tokio::test]
async fn a_body_that_is_not_json_or_too_large_is_refused() {
    let api = test_api(0).await;
    let body = r#"{"url":"https://example.org","title":"Mine"}"#;
    for content_type in ["application/x-www-form-urlencoded", "text/plain", "", "json"] {
        let answer = api.raw("POST", "/bookmarks", content_type, body).await;
        assert_eq!(answer.status(), 415, "{content_type}");
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/problem+json");
    }
    for body in ["", "{", "nonsense", "\u{0}"] {
        assert_eq!(
            api.raw("POST", "/bookmarks", "application/json", body).await.status(),
            400,
            "{body:?}"
        );
    }
    let large = vec![b' '; 17 * 1024];
    assert_eq!(api.raw("POST", "/bookmarks", "application/json", large).await.status(), 413);
    assert_eq!(api.send("GET", "/bookmarks").await.1, json!([]));
}

#[tokio::test]
async fn other_paths_and_methods_are_told_apart() {
    let api = test_api(1).await;
    for path in [
        "/",
        "/bookmarks/",
        "/bookmarksx",
        "/bookmarks/x",
        "/bookmarks/01",
        "/bookmarks/+1",
        "/bookmarks/-1",
        "/bookmarks/1/x",
        "/bookmarks/99999999999999999999",
    ] {
        assert_eq!(api.send("GET", path).await.0, 404, "{path}");
    }
    for (method, path, allow) in [
        ("DELETE", "/bookmarks", "GET, HEAD, POST"),
        ("PATCH", "/bookmarks", "GET, HEAD, POST"),
        ("POST", "/bookmarks/1", "GET, HEAD, PUT, PATCH, DELETE"),
        ("PROPFIND", "/bookmarks/1", "GET, HEAD, PUT, PATCH, DELETE"),
    ] {
        let answer = api.raw(method, path, "application/json", "{}").await;
        assert_eq!(answer.status(), 405, "{method} {path}");
        assert_eq!(answer.headers()[ALLOW], allow);
    }
}

#[tokio::test]
async fn what_is_kept_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bookmarks.db");
    let first = Api::start(&file, 2).await.unwrap();
    let caller = Caller { address: first.address, application: "test", key: None };
    assert_eq!(caller.send(Method::DELETE, "/bookmarks/1").await.unwrap().status, 204);
    first.stop().await;
    assert!(caller.send(Method::GET, "/bookmarks").await.is_err());
    let second = Api::start(&file, 2).await.unwrap();
    let caller = Caller { address: second.address, ..caller };
    let listed = caller.send(Method::GET, "/bookmarks").await.unwrap().body;
    assert_eq!(listed.as_array().unwrap().len(), 1);
}
