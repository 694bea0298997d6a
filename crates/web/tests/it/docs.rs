//! The page that shows the description.

use http::header::CONTENT_ENCODING;

use crate::test_console::TestConsole;

#[tokio::test]
async fn the_page_loads_only_what_this_address_serves() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let page = console.get("/api/docs").cookie(&cookie).send().await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("form-action 'none'") && !policy.contains("unsafe"), "{policy}");
    assert!(!page.text.contains("<style") && !page.text.contains("style="));
    let mut loaded = 0;
    for part in page.text.split(['"']).filter(|part| part.starts_with('/')) {
        let told = console.get(part).cookie(&cookie).send().await;
        assert_eq!(told.status, 200, "{part}");
        loaded += 1;
    }
    assert_eq!(loaded, 4);
    for script in page.text.split("<script").skip(1) {
        assert!(script.contains("defer></script>"), "nothing is inline");
    }
    assert_eq!(console.get("/api/docs/other.js").cookie(&cookie).send().await.status, 404);
}

#[tokio::test]
async fn swagger_ui_is_told_to_be_gzip_and_is() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    for file in ["swagger-ui-bundle.js", "swagger-ui.css"] {
        let ask = console.get(&format!("/api/docs/{file}")).cookie(&cookie);
        let response = ask.header("accept-encoding", "gzip").response().await;
        assert_eq!(response.headers()[CONTENT_ENCODING], "gzip");
        let bytes = axum::body::to_bytes(response.into_body(), 8 << 20).await.unwrap();
        assert!(bytes.starts_with(&[0x1f, 0x8b, 8]), "{file}");
        let length = u32::from_le_bytes(bytes[bytes.len() - 4..].try_into().unwrap());
        assert!(length > 100_000, "{file} has {length} bytes");
    }
}
