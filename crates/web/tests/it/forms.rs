//! What owners type and read on the pages.

use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_core::version::Expected;
use keystile_engine::keys::create::RollKey;
use keystile_engine::keys::edit::RevokeKey;

use crate::test_console::{TestConsole, shell};

/// A form, what is typed into it, and what its page then shows.
type Failing<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

/// The page that a form leads to.
async fn after(console: &TestConsole, cookie: &str, path: &str, fields: &[(&str, &str)]) -> String {
    let told = console.post(path).cookie(cookie).form(fields).send().await;
    assert_eq!(told.status, 303, "{told:?}");
    let shown = console.get(told.header("location")).cookie(cookie).send().await;
    assert_eq!(shown.status, 200, "{shown:?}");
    shown.text
}

#[tokio::test]
async fn a_form_that_failed_comes_back_open_with_what_was_typed() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    let long = "x".repeat(501);
    let forms: [Failing<'_>; 8] = [
        (
            "lock",
            &[("level", "all"), ("reason", "too \"keen\""), ("span", "two hours")],
            &[
                "<details open><summary>Lock",
                "value=\"all\" checked",
                "value=\"too &#34;keen&#34;\"",
                "value=\"two hours\"",
            ],
        ),
        ("lock", &[("level", "writes"), ("reason", &long), ("span", "")], &[&long]),
        ("roll", &[("grace", "soon")], &["<details open><summary>Roll", "value=\"soon\""]),
        ("plan", &[("plan", "gold")], &["<details id=\"plan\" open>"]),
        ("note", &[("note", &long)], &["<details open><summary>Note", &long]),
        ("../../applications/reader/plan", &[("plan", "gold")], &["<details open><summary>Change"]),
        ("../../applications/reader/note", &[("note", &long)], &["<details open>", &long]),
        (
            "../../settings/tokens",
            &[("name", "backup"), ("scope", "admin"), ("span", "a while")],
            &[
                "<details open><summary>Create a token",
                "value=\"backup\"",
                "value=\"admin\" checked",
                "value=\"a while\"",
            ],
        ),
    ];
    for (form, fields, shown) in forms {
        let path = match form.strip_prefix("../..") {
            Some(path) => path.to_owned(),
            None => format!("/keys/{key}/{form}"),
        };
        let page = after(&console, &cookie, &path, fields).await;
        assert!(page.contains("Not done:"), "{form}: {page}");
        for text in shown {
            assert!(page.contains(text), "{form}: {text}: {page}");
        }
        // Only once, and only for this form.
        let again = console.get(&format!("/keys/{key}")).cookie(&cookie).send().await.text;
        assert!(!again.contains("<details open>"), "{again}");
    }
    let page =
        after(&console, &cookie, "/keys", &[("application", "new one"), ("plan", "gold")]).await;
    assert!(page.contains("value=\"new one\""), "{page}");
}

#[tokio::test]
async fn a_name_that_was_typed_stays_where_its_password_was_wrong() {
    let console = TestConsole::new();
    console.cookie("Ada").await;
    let wrong = [("name", "Ada"), ("password", "wrong"), ("next", "/keys")];
    let told = console.post("/sign-in").header("sec-fetch-site", "same-origin").form(&wrong).send();
    let told = told.await;
    assert_eq!(told.status, 401);
    assert!(told.text.contains("value=\"Ada\""), "{}", told.text);
    assert!(!told.text.contains("wrong\""), "never the secret");
    let link = console.claim_link().await;
    let path = format!("/claim/{}", link.secret.expose());
    let short = [("name", "Bob"), ("password", "short")];
    let told =
        console.post(&path).header("sec-fetch-site", "same-origin").form(&short).send().await;
    assert!(told.text.contains("value=\"Bob\""), "{}", told.text);
}

#[tokio::test]
async fn a_proof_is_asked_for_in_words_that_a_button_can_carry() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let page = console.get("/prove").cookie(&cookie).send().await.text;
    assert!(page.contains("<h1>Confirm your identity</h1>"), "{page}");
    assert!(page.contains("<button>Confirm with a password</button>"), "{page}");
    let page = console.get("/sign-in").send().await.text;
    assert!(page.contains("<button>Sign in with a password</button>"), "{page}");
}

#[tokio::test]
async fn a_lock_without_a_reason_is_refused() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    let fields = [("level", "writes"), ("reason", "  "), ("span", "")];
    let page = after(&console, &cookie, &format!("/keys/{key}/lock"), &fields).await;
    assert!(page.contains("Not done:") && page.contains("a reason is empty"), "{page}");
    let locked = console.get("/api/v1/keys?state=locked").cookie(&cookie).send().await.good();
    assert_eq!(locked["items"], serde_json::json!([]));
}

#[tokio::test]
async fn an_address_that_the_console_does_not_have_says_so_on_a_page() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    for path in ["/nowhere", "/keys/", "/apis", "/keys/x/y/z", "/assets/nothing.css", "/%ff"] {
        for told in [console.get(path).send().await, console.get(path).cookie(&cookie).send().await]
        {
            assert_eq!(told.status, 404, "{path}: {told:?}");
            assert_eq!(told.header("content-type"), "text/html; charset=utf-8", "{path}");
            assert!(told.text.contains("There is no page at this address."), "{path}");
            assert!(told.text.contains("<title>Not found"), "{path}");
        }
        let signed_in = console.get(path).cookie(&cookie).send().await;
        assert!(signed_in.text.contains("aria-label=\"Screens\""), "{path}");
    }
    // So do a button's address that is opened, and a form that no page sends.
    let told = console.get("/sign-out").cookie(&cookie).send().await;
    assert_eq!((told.status.as_u16(), told.header("allow")), (405, "POST"));
    assert!(told.text.contains("for a button of the console"), "{}", told.text);
    let key = console.key("reader").await;
    let lock =
        console.post(&format!("/keys/{key}/lock")).cookie(&cookie).form(&[("level", "most")]);
    let told = lock.send().await;
    assert_eq!(told.status, 422);
    assert_eq!(told.header("content-type"), "text/html; charset=utf-8");
    assert!(told.text.contains("level"), "{}", told.text);
    // Under the API it is a problem.
    console.get("/api/v1/nowhere").send().await.problem(404);
}

#[tokio::test]
async fn what_a_button_will_do_is_said_as_something_to_come() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    console.cookie("Bob").await;
    for path in [
        format!("/keys/{key}/unlock"),
        format!("/keys/{key}/more-room"),
        format!("/keys/{key}/revoke"),
        "/applications/reader/suspend".to_owned(),
        "/applications/reader/unlock".to_owned(),
        "/applications/reader/more-room".to_owned(),
        "/settings/owners/Bob/remove".to_owned(),
    ] {
        let page = console.get(&path).cookie(&cookie).send().await.text;
        let (_, rest) = page.split_once("<p class=\"big\">").unwrap();
        let sentence = rest.split("</p>").next().unwrap();
        assert!(sentence.contains(" will "), "{path}: {sentence}");
    }
}

#[tokio::test]
async fn a_key_that_is_revoked_works_until_nothing() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    let expected = Expected::Any;
    let roll = RollKey { key: key.clone(), grace_millis: 86_400_000, expected };
    console.engine().execute(&shell(), roll).await.unwrap();
    let page = || async { console.get(&format!("/keys/{key}")).cookie(&cookie).send().await.text };
    assert!(page().await.contains("<dt>Ends</dt>"));
    let revoke = RevokeKey { key: key.clone(), expected: Expected::Any };
    console.engine().execute(&shell(), revoke).await.unwrap();
    assert!(!page().await.contains("<dt>Ends</dt>"));
}

#[tokio::test]
async fn lines_to_try_are_whole_when_they_are_pasted() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let now = console.get("/").cookie(&cookie).send().await.text.replace("&#39;", "'");
    let line = "curl -i -X POST -H 'X-API-Key: KEY' 'http://127.0.0.1:7070/'</pre>";
    assert!(now.contains(line), "{now}");
    let fields = [("application", "reader"), ("plan", "open")];
    let page = after(&console, &cookie, "/keys", &fields).await.replace("&#39;", "'");
    let line = page.split("curl -i -H 'X-API-Key: ks_").nth(1).unwrap();
    let line = line.split_once("' ").unwrap().1;
    assert!(line.starts_with("'http://127.0.0.1:7070/'</pre>"), "{page}");
}

#[tokio::test]
async fn budgets_go_by_their_names() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    let page = console.get(&format!("/keys/{key}")).cookie(&cookie).send().await.text;
    assert!(page.contains("<span class=\"name\">writes-day, 20 per day</span>"), "{page}");
}

#[tokio::test]
async fn the_last_24_hours_are_the_same_on_every_surface_and_refusals_are_no_writes() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    console.refusals(7, "/notes/1").await;
    let status = console.get("/api/v1/status").cookie(&cookie).send().await.good();
    assert_eq!((&status["writes_today"], &status["records"]), (&0.into(), &7.into()));
    let page = console.get("/").cookie(&cookie).send().await.text;
    assert!(page.contains("<dt>Writes, 24 hours</dt><dd>0</dd>"), "{page}");
    assert!(page.contains("<dt>Refused, 24 hours</dt><dd>7</dd>"), "{page}");
}

#[tokio::test]
async fn two_consoles_on_one_machine_do_not_share_a_cookie() {
    let (one, other) = (TestConsole::new(), TestConsole::new());
    assert_ne!(one.cookie_name(7080), other.cookie_name(7080), "of two stores");
    // A copy of the store has the same secret, but another port.
    assert_ne!(one.cookie_name(7080), one.cookie_name(7081), "of two ports");
    // The browser brings both along; each console takes its own.
    let (mine, theirs) = (one.cookie("Ada").await, other.cookie("Ada").await);
    for both in [format!("{mine}; {theirs}"), format!("{theirs}; {mine}")] {
        one.get("/api/v1/keys").cookie(&both).send().await.good();
        other.get("/api/v1/keys").cookie(&both).send().await.good();
    }
    let signed_out = one.post("/sign-out").cookie(&format!("{mine}; {theirs}")).send().await;
    let gone = signed_out.header("set-cookie").split('=').next().unwrap().to_owned();
    assert_eq!(gone, one.cookie_name(7080));
    other.get("/api/v1/keys").cookie(&theirs).send().await.good();
}

#[tokio::test]
async fn the_name_of_the_cookie_outlives_a_restart() {
    let mut console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    console.later(1_000);
    console.get("/api/v1/keys").cookie(&cookie).send().await.good();
}

#[tokio::test]
async fn a_name_that_was_kept_before_shows_all_that_is_in_it_on_every_page() {
    let mut console = TestConsole::new();
    let key = console.key("reader").await;
    let cookie = console.cookie("Ada").await;
    let database = rusqlite::Connection::open(console.path().join("keystile.db")).unwrap();
    let name = "re\u{202e}redaer\u{200b} <b>\u{e0041}";
    database.execute("UPDATE application SET name = ?1", [name]).unwrap();
    database.execute("UPDATE owner SET name = 'A\u{2066}da'", []).unwrap();
    drop(database);
    console.later(1_000);
    console.refusals(1, "/x").await;
    let encoded = "re%E2%80%AEredaer%E2%80%8B%20%3Cb%3E%F3%A0%81%81";
    for path in [
        "/",
        "/keys",
        "/keys/new",
        &format!("/keys/{key}"),
        &format!("/keys/{key}/revoke"),
        "/applications",
        &format!("/applications/{encoded}"),
        "/audit",
        "/settings",
        &format!("/journal?application={encoded}"),
        "/nowhere",
    ] {
        let shown = console.get(path).cookie(&cookie).send().await;
        let hidden = shown.text.chars().find(|c| *c != '\n' && keystile_core::text::is_hidden(*c));
        assert_eq!(hidden, None, "{path}");
        assert!(shown.text.contains("A\\u{2066}da"), "{path}: {}", shown.text);
    }
    let page = console.get(&format!("/applications/{encoded}")).cookie(&cookie).send().await;
    assert_eq!(page.status, 200, "what is linked is still found");
    assert!(
        page.text.contains("re\\u{202e}redaer\\u{200b} &#60;b&#62;\\u{e0041}"),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn names_that_do_not_show_as_themselves_are_refused_at_every_form() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    let forms: [Failing<'_>; 5] = [
        (
            "/keys",
            &[("application", "a\u{202e}b"), ("plan", "open")],
            &["U+202E (direction override)"],
        ),
        (
            &format!("/keys/{key}/lock"),
            &[("level", "all"), ("reason", "x\u{200b}")],
            &["a reason holds U+200B (zero-width space) as character 2"],
        ),
        (&format!("/keys/{key}/note"), &[("note", "x\u{feff}")], &["U+FEFF (byte-order mark)"]),
        ("/applications/reader/note", &[("note", "\u{e0041}")], &["U+E0041 (tag)"]),
        (
            "/settings/tokens",
            &[("name", "a\u{2060}"), ("scope", "read")],
            &["U+2060 (word joiner)"],
        ),
    ];
    for (path, fields, why) in forms {
        let page = after(&console, &cookie, path, fields).await;
        assert!(page.contains("Not done:") && page.contains(why[0]), "{path}: {page}");
    }
    let link = console.claim_link().await;
    let path = format!("/claim/{}", link.secret.expose());
    let name = [("name", "A\u{202e}da"), ("password", "a long enough sentence")];
    let told = console.post(&path).header("sec-fetch-site", "same-origin").form(&name).send().await;
    assert!(told.text.contains("U+202E"), "{}", told.text);
    // A note may have lines, which a browser ends with two characters.
    let page =
        after(&console, &cookie, &format!("/keys/{key}/note"), &[("note", "one\r\ntwo")]).await;
    assert!(page.contains("<p class=\"lines\">one\ntwo</p>"), "{page}");
}

#[tokio::test]
async fn a_day_or_a_length_is_understood_by_the_filters_of_the_console_and_of_the_api() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    console.refusals(1, "/notes/42").await;
    for (when, is_before) in [
        ("2020-01-31", true),
        ("2020-01-31T08%3A30", true),
        ("2020-01-31+08%3A30%3A00", true),
        ("2+hours", true),
        ("1+day+ago", true),
        ("2099-01-31", false),
    ] {
        let page = console.get(&format!("/journal?since={when}")).cookie(&cookie).send().await.text;
        assert_eq!(page.contains("/notes/42"), is_before, "{when}: {page}");
        assert!(!page.contains("is not a time"), "{when}");
        let path = format!("/api/v1/records?until={when}");
        let listed = console.get(&path).cookie(&cookie).send().await.good();
        assert_eq!(listed["items"].as_array().unwrap().is_empty(), is_before, "{when}");
    }
    console.get("/api/v1/records?since=yesterday").cookie(&cookie).send().await.problem(400);
    let page = console.get("/journal?since=yesterday").cookie(&cookie).send().await.text;
    assert!(page.contains("is not a time") && page.contains("value=\"yesterday\""), "{page}");
}

#[tokio::test]
async fn every_time_on_a_page_is_utc_and_says_so() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let key = console.key("reader").await;
    console.refusals(1, "/notes/42").await;
    let mut times = 0;
    for path in ["/", "/keys", &format!("/keys/{key}"), "/journal/write_1", "/audit", "/settings"] {
        let page = console.get(path).cookie(&cookie).send().await.text;
        for time in page.split("<time ").skip(1) {
            let title = time.split("title=\"").nth(1).unwrap().split('"').next().unwrap();
            assert!(title.ends_with(" UTC"), "{path}: {title}");
            times += 1;
        }
        assert!(page.contains("times in UTC"), "{path}");
    }
    assert!(times > 6, "only {times}");
}

#[tokio::test]
async fn a_token_that_is_revoked_ends_no_more() {
    let console = TestConsole::new();
    let cookie = console.cookie("Ada").await;
    let expires = console.engine().store().now().0 + 86_400_000;
    console.token_until("backup", Scope::Read, Some(Timestamp(expires))).await;
    let ends = |page: &str| {
        let (_, cell) = page.split_once("data-name=\"Ends\">").unwrap();
        cell.split_once("</td>").unwrap().0.to_owned()
    };
    let page = || async { console.get("/settings").cookie(&cookie).send().await.text };
    assert!(ends(&page().await).contains("<time"));
    console.revoke_token("backup").await;
    assert_eq!(ends(&page().await), "–");
}
