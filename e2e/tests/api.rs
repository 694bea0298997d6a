//! The page that shows the admin API.

use anyhow::Result;
use keystile_e2e::{Browser, Keystile};

#[tokio::test]
async fn an_owner_reads_the_api_and_tries_it_and_the_browser_has_nothing_to_complain_of()
-> Result<()> {
    let (keystile, browser) = (Keystile::start().await?, Browser::open().await?);
    browser.watch_policy().await?;
    browser.claim(&keystile.claim, "ada").await?;
    keystile.key("scraper", "open").await?;
    browser.driver.goto(&format!("{}/api/docs", keystile.console)).await?;
    browser.until_text("Keystile admin API").await?;
    browser.until_text("Issues a key").await?;
    browser.one("#operations-keys-list_keys button").await?.click().await?;
    browser.one("#operations-keys-list_keys .try-out button").await?.click().await?;
    browser.one("#operations-keys-list_keys .execute").await?.click().await?;
    browser.until_text("\"scraper\"").await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new());
    browser.close().await?;
    keystile.stop().await
}
