//! The page of key sources: an owner sees what differs from 3scale, and decides it.

use anyhow::Result;
use keystile_e2e::{Browser, Keystile};
use keystile_threescale_standin::Portal;
use keystile_threescale_standin::fault::Fault;
use keystile_threescale_standin::tenant::{BackendVersion, State, Tenant};
use serde_json::{Value, json};

const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";
const NAME: &str = "Acme Ltd – Importer";

/// A tenant with an application on each of three plans, of which one stands for no plan here.
fn tenant() -> (Tenant, u64, u64) {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
    let account = tenant.add_account("Acme Ltd");
    let application = |tenant: &mut Tenant, plan: &str, name: &str| {
        let plan = tenant.add_plan(service, plan);
        tenant.add_application(account, plan, name)
    };
    let importer = application(&mut tenant, "Basic", "Importer");
    application(
        &mut tenant,
        "Partner",
        "Reader with a rather long name that has to wrap on a phone",
    );
    application(&mut tenant, "Trial <2024>", "Trial");
    (tenant, service, importer)
}

/// A Keystile that reads a portal now and then.
async fn started() -> Result<(Keystile, Portal, u64)> {
    let (tenant, service, importer) = tenant();
    let portal = Portal::start_plain(tenant).await;
    let token = std::env::temp_dir().join(format!("keystile-e2e-token-{}", std::process::id()));
    std::fs::write(&token, TOKEN)?;
    let more = format!(
        "[threescale.main]\nportal = {:?}\naccess_token_file = {token:?}\nservice = {service}\n\
         plans = {{ Basic = \"open\", Partner = \"trusted\" }}\n",
        portal.address()
    );
    Ok((Keystile::start_with(&more, &[]).await?, portal, importer))
}

async fn no_fault(browser: &Browser, what: &str) -> Result<()> {
    for scheme in ["light", "dark"] {
        browser.prefer(scheme).await?;
        for width in [1200, 390] {
            browser.driver.set_window_rect(0, 0, width, 1400).await?;
            assert_eq!(browser.axe().await?, Vec::<Value>::new(), "{what} {scheme} {width}");
            let over = "return document.documentElement.scrollWidth - document.documentElement.clientWidth";
            let over = browser.driver.execute(over, vec![]).await?;
            assert_eq!(over.json(), &json!(0), "{what} at {width}");
            if let Some(folder) = std::env::var_os("SCREENSHOTS") {
                let name = format!("{what}-{scheme}-{width}.png").replace(' ', "-");
                browser.driver.screenshot(&std::path::Path::new(&folder).join(name)).await?;
            }
        }
    }
    browser.driver.set_window_rect(0, 0, 1200, 900).await?;
    assert_eq!(browser.complaints().await?, Vec::<String>::new(), "{what}");
    Ok(())
}

#[tokio::test]
async fn an_owner_decides_what_differs_and_sees_a_source_fail_and_recover() -> Result<()> {
    let (keystile, portal, importer) = started().await?;
    let browser = Browser::open().await?;
    browser.watch_policy().await?;
    browser.claim(&keystile.claim, "ada").await?;
    let page = format!("{}/sources", keystile.console);
    keystile.command(&["threescale", "sync"]).await?;
    keystile.command(&["application", "suspend", NAME]).await?;
    browser.driver.goto(&keystile.console).await?;
    browser.one("nav a[href='/sources']").await?.click().await?;
    browser.until_text("working").await?;
    browser.until_text("there stands for no plan here").await?;

    // What an owner did here shows once the source is read again, with both ways to settle it.
    browser.one("section.source .heading button").await?.click().await?;
    browser.until_text("Read 3scale main to the end").await?;
    browser.until_text("It is suspended.").await?;
    let key = keystile.command(&["key", "list", "--json"]).await?;
    let keys: Value = serde_json::from_str(&key)?;
    let reader = keys.as_array().unwrap().iter().find(|key| key["plan"] == "trusted").unwrap();
    let lock = ["key", "lock", reader["id"].as_str().unwrap(), "--reason", "looks odd"];
    keystile.command(&lock).await?;
    // Nobody reloads the page.
    browser.until_text("suspended there").await?;
    no_fault(&browser, "differences").await?;

    browser.one(".sides > div:last-child form button").await?.click().await?;
    browser.until_text("Done: suspend it there of Acme Ltd – Importer.").await?;
    assert_eq!(portal.tenant().application(importer).state, State::Suspended);
    assert!(!browser.text().await?.contains("Suspend it there"));
    let audit = keystile.command(&["audit", "list", "--json"]).await?;
    assert!(audit.contains("difference_settled") && audit.contains("\"ada\""), "{audit}");

    // The portal is away: the page says so, and keys go on.
    portal.fail_on("services.json", Fault::json(500, "{}"));
    browser.one("section.source .heading button").await?.click().await?;
    browser.until_text("Not done:").await?;
    browser.until_text("It cannot be read to the end").await?;
    no_fault(&browser, "problem").await?;
    browser.driver.goto(&keystile.console).await?;
    browser.until_text("Key sources in trouble").await?;
    browser.driver.goto(&page).await?;
    browser.one("section.source .heading button").await?.click().await?;
    browser.until_text("working").await?;

    // The application and its key lead back here.
    browser.one("table td a").await?.click().await?;
    browser.until_text("which stays in charge of its plan and keys").await?;
    browser.one("dl.table a[href='/sources']").await?.click().await?;
    browser.until_text("Key sources").await?;
    assert_eq!(browser.driver.current_url().await?.as_str(), page);
    browser.close().await?;
    keystile.stop().await
}
