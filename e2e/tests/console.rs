//! The console as its owner uses it, and as others try to.

use std::time::Duration;

use anyhow::Result;
use keystile_e2e::{Browser, Keystile, status_of};
use thirtyfour::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const SCREENS: [&str; 10] = [
    "/",
    "/journal",
    "/keys",
    "/keys/new",
    "/applications",
    "/policy",
    "/sources",
    "/audit",
    "/settings",
    "/prove",
];

/// Writes until the key locks.
async fn overrun(keystile: &Keystile, key: &str) -> Result<()> {
    for number in 0..3 {
        let path = format!("/notes/{number}");
        assert_eq!(keystile.call("DELETE", &path, key, "test").await?, 200);
    }
    assert_eq!(keystile.call("DELETE", "/notes/last", key, "test").await?, 403);
    Ok(())
}

#[tokio::test]
async fn an_owner_sees_a_key_lock_live_and_unlocks_it_with_one_button() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.watch_policy().await?;
    browser.claim(&keystile.claim, "ada").await?;
    let key = keystile.key("scraper", "open").await?;
    browser.driver.goto(&keystile.console).await?;
    browser.until_text("All is well").await?;
    browser.until_text("live").await?;

    overrun(&keystile, key["key"].as_str().unwrap()).await?;
    // Nobody reloads the page.
    browser.until_text("/notes/2").await?;
    browser.until_text("One key is locked").await?;
    browser.until_text("Went over its write budget writes-hour, 3 per hour").await?;
    browser.until_text("DELETE /notes/last").await?;

    browser.one("li.card.locked button.primary").await?.click().await?;
    browser.until_text("Unlocked").await?;
    browser.until_text("Lock again").await?;
    let shown = keystile.command(&["key", "show", key["id"].as_str().unwrap(), "--json"]).await?;
    assert!(shown.contains("\"active\""), "{shown}");
    let audit = keystile.command(&["audit", "list", "--json"]).await?;
    assert!(audit.contains("key_unlocked") && audit.contains("ada"), "{audit}");
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn an_owner_finds_a_write_by_what_they_know_of_it() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.claim(&keystile.claim, "ada").await?;
    let key = keystile.key("wiki", "trusted").await?;
    let text = key["key"].as_str().unwrap();
    for (method, path) in [("POST", "/a"), ("PUT", "/b"), ("DELETE", "/c")] {
        keystile.call(method, path, text, "curl").await?;
    }
    browser.driver.goto(format!("{}/journal", keystile.console)).await?;
    browser.one("input[name=method]").await?.send_keys("delete").await?;
    browser.one("form.filters button.primary").await?.click().await?;
    browser.until_text("/c").await?;
    let body = browser.text().await?;
    assert!(!body.contains("POST /a") && !body.contains("PUT /b"), "{body}");
    browser.one("table.writes tbody a").await?.click().await?;
    browser.until_text("Your API carried it out.").await?;

    // A pasted key is found by its hash, and stands in no address.
    browser.one("#find").await?.send_keys(format!("{text}\n")).await?;
    browser.until_text("Budgets").await?;
    let address = browser.driver.current_url().await?;
    assert!(address.path().starts_with("/keys/key_") && !address.as_str().contains(text));
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn an_owner_signs_in_with_a_passkey_and_proves_it_again_before_what_is_final() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.claim(&keystile.claim, "ada").await?;
    let key = keystile.key("wiki", "open").await?;
    browser.one("form.out button").await?.click().await?;
    browser.one("button[data-passkey]").await?.click().await?;
    browser.until_text("Now").await?;

    let page = format!("{}/keys/{}", keystile.console, key["id"].as_str().unwrap());
    browser.driver.goto(format!("{page}/revoke")).await?;
    browser.until_text("will never be able to use the key").await?;
    browser.one("form.sheet button.danger").await?.click().await?;
    browser.until_text("revoked").await?;
    assert_eq!(keystile.call("GET", "/", key["key"].as_str().unwrap(), "t").await?, 403);

    // The link that made the owner is used up.
    browser.driver.goto(&keystile.claim).await?;
    browser.until_text("This link was used already").await?;
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn every_screen_passes_axe_in_light_dark_and_narrow_and_breaks_no_policy() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.watch_policy().await?;
    browser.driver.goto(&keystile.claim).await?;
    assert_eq!(browser.axe().await?, Vec::<serde_json::Value>::new(), "claim");
    browser.driver.goto(format!("{}/sign-in", keystile.console)).await?;
    assert_eq!(browser.axe().await?, Vec::<serde_json::Value>::new(), "sign-in");
    // Empty at first, then with something on every screen.
    browser.claim(&keystile.claim, "ada").await?;
    for is_filled in [false, true] {
        let mut screens: Vec<String> = SCREENS.iter().map(ToString::to_string).collect();
        if is_filled {
            let key = keystile.key("scraper", "open").await?;
            overrun(&keystile, key["key"].as_str().unwrap()).await?;
            let id = key["id"].as_str().unwrap();
            screens.extend([
                format!("/keys/{id}"),
                format!("/keys/{id}/revoke"),
                format!("/keys/{id}/more-room"),
                "/applications/scraper".to_owned(),
                "/applications/scraper/suspend".to_owned(),
                "/journal/write_1".to_owned(),
                "/journal?method=GET".to_owned(),
                "/keys/key_nothing".to_owned(),
            ]);
        }
        for scheme in ["light", "dark"] {
            browser.prefer(scheme).await?;
            for width in [1200, 360] {
                browser.driver.set_window_rect(0, 0, width, 900).await?;
                for screen in &screens {
                    browser.driver.goto(format!("{}{screen}", keystile.console)).await?;
                    let found = browser.axe().await?;
                    assert!(found.is_empty(), "{screen} {scheme} {width}: {found:#?}");
                    let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
                    let over = browser.driver.execute(over, vec![]).await?;
                    assert_eq!(over.json(), &serde_json::json!(0), "{screen} at {width}");
                    assert_eq!(browser.complaints().await?, Vec::<String>::new(), "{screen}");
                }
            }
        }
    }
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn what_strangers_write_is_shown_as_text() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.watch_policy().await?;
    browser.claim(&keystile.claim, "ada").await?;
    let hostile = "<svg/onload=alert(1)>";
    let key = keystile.key("<img src=x onerror=alert(2)>", "trusted").await?;
    let text = key["key"].as_str().unwrap();
    let agent = "\"><script>alert(3)</script>";
    keystile.call("POST", "/%3Csvg%20onload=alert(4)%3E/x'y", text, agent).await?;
    keystile.call("POST", "/a?q=<b>", text, hostile).await?;
    let id = key["id"].as_str().unwrap();
    let lock = ["key", "lock", id, "--level", "all", "--reason", "<script>alert(5)</script>"];
    keystile.command(&lock).await?;
    keystile.command(&["key", "note", id, "<script>alert(6)</script>"]).await?;
    for screen in [
        "/",
        "/journal",
        "/journal/write_1",
        "/keys",
        &format!("/keys/{id}"),
        "/applications",
        "/audit",
        "/policy",
    ] {
        browser.driver.goto(format!("{}{screen}", keystile.console)).await?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        assert!(browser.driver.get_alert_text().await.is_err(), "{screen} ran a script");
        let grown = "return document.querySelectorAll('main script, main img, main [onload], main [onerror]').length";
        let grown = browser.driver.execute(grown, vec![]).await?;
        assert_eq!(grown.json(), &serde_json::json!(0), "{screen}");
        assert_eq!(browser.complaints().await?, Vec::<String>::new(), "{screen}");
    }
    // The live rows are drawn by the script.
    browser.driver.goto(&keystile.console).await?;
    browser.until_text("live").await?;
    browser.close().await?;
    keystile.stop().await
}

/// A page of another site that frames the console and posts to it.
async fn evil_site(console: &str, key: &str) -> Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let page = format!(
        "<!doctype html><title>evil</title><iframe src=\"{console}/\"></iframe>\
         <form id=f method=post action=\"{console}/keys/{key}/lock\" target=t>\
         <input name=level value=all><input name=reason value=evil></form><iframe name=t></iframe>\
         <script>f.submit()</script>"
    );
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 4096];
            let _ = stream.read(&mut head).await;
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{page}",
                page.len()
            );
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    Ok(format!("http://127.0.0.1:{}/", address.port()))
}

#[tokio::test]
async fn another_site_can_neither_frame_the_console_nor_act_in_it() -> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.claim(&keystile.claim, "ada").await?;
    let key = keystile.key("wiki", "open").await?;
    let id = key["id"].as_str().unwrap();
    browser.driver.goto(evil_site(&keystile.console, id).await?).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for frame in browser.driver.find_all(By::Css("iframe")).await? {
        frame.enter_frame().await?;
        let body = browser.text().await.unwrap_or_default();
        assert!(!body.contains("Keystile") && !body.contains("All is well"), "framed: {body}");
        browser.driver.enter_default_frame().await?;
    }
    let shown = keystile.command(&["key", "show", id, "--json"]).await?;
    assert!(shown.contains("\"active\""), "{shown}");

    // A name that was made to resolve to the console.
    let address = keystile.console.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    for host in ["evil.example", "localhost.evil.example"] {
        let request = format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(status_of(&address, &request).await?, 403, "{host}");
    }
    browser.close().await?;
    keystile.stop().await
}
