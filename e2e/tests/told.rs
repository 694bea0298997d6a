//! Being told, by real peers: a mail server with STARTTLS and AUTH, a webhook that checks signatures, and the way
//! from the mail to the locked key in a real browser.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use keystile_e2e::{Browser, Keystile, PATIENCE, free_port, status_of};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::Instant;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The peers, and what they received.
struct Peers {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    smtp: u16,
    hook: u16,
    push: u16,
    /// What the browser of the push service told of itself.
    ready: Value,
    folder: tempfile::TempDir,
}

async fn openssl(folder: &std::path::Path, line: &str) -> Result<()> {
    let output = Command::new("openssl").args(line.split(' ')).current_dir(folder).output().await?;
    if !output.status.success() {
        bail!("openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}

impl Peers {
    /// Peers that answer after some seconds.
    async fn start(pause: f32) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let path = folder.path();
        std::fs::write(path.join("ext"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
        std::fs::write(path.join("smtp.password"), "secret\n")?;
        std::fs::write(path.join("hook.secret"), SECRET)?;
        for line in [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=ca",
            "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
        ] {
            openssl(path, line).await?;
        }
        let (smtp, hook, push) = (free_port().await?, free_port().await?, free_port().await?);
        let home = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin/python");
        let mut process = Command::new(home)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/peers.py"))
            .args([smtp, hook, push].map(|port| port.to_string()))
            .args([path.join("cert.pem"), path.join("key.pem")])
            .args([SECRET, &pause.to_string()])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the peers do not start: e2e/setup installs them")?;
        let lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        let ready = Value::Null;
        let mut peers = Self { _process: process, lines, smtp, hook, push, ready, folder };
        peers.ready = peers.next("ready").await?;
        Ok(peers)
    }

    /// The next message of a kind.
    async fn next(&mut self, kind: &str) -> Result<Value> {
        let next = async {
            while let Some(line) = self.lines.next_line().await? {
                let message: Value = serde_json::from_str(&line)?;
                if message["kind"] == kind {
                    return Ok(message);
                }
            }
            bail!("the peers ended")
        };
        tokio::time::timeout(PATIENCE * 3, next).await.context("nothing came")?
    }

    /// What comes within some seconds, of every kind.
    async fn all_within(&mut self, span: Duration) -> Result<Vec<Value>> {
        let end = Instant::now() + span;
        let mut found = Vec::new();
        while let Ok(line) = tokio::time::timeout_at(end, self.lines.next_line()).await {
            found.push(serde_json::from_str(&line?.context("the peers ended")?)?);
        }
        Ok(found)
    }

    fn configuration(&self) -> String {
        let (smtp, hook, path) = (self.smtp, self.hook, self.folder.path().display());
        format!(
            "[watch.deletes]\non = [\"notes: DELETE *\"]\ntell = [\"mail\", \"ops\"]\n\
             [channel.mail]\nkind = \"email\"\nto = [\"me@example.org\"]\nfrom = \"keystile@example.org\"\n\
             smtp = {{ url = \"smtp://user@localhost:{smtp}?tls=required\", password_file = \"{path}/smtp.password\" }}\n\
             allow_networks = [\"127.0.0.0/8\", \"::1/128\"]\nper_hour_max = 10000\n\
             [channel.ops]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{hook}/\"\n\
             secret_file = \"{path}/hook.secret\"\nallow_networks = [\"127.0.0.0/8\"]\n"
        )
    }
}

async fn start() -> Result<(Peers, Keystile)> {
    start_with(0.0, "").await
}

async fn start_with(pause: f32, more: &str) -> Result<(Peers, Keystile)> {
    let peers = Peers::start(pause).await?;
    let authority = peers.folder.path().join("ca.pem");
    let environment = [("SSL_CERT_FILE", authority.to_str().context("a plain path")?)];
    let configuration = format!("{}{more}", peers.configuration());
    let keystile = Keystile::start_with(&configuration, &environment).await?;
    Ok((peers, keystile))
}

#[tokio::test]
async fn a_write_is_told_by_mail_and_its_link_locks_the_key_once_and_only_by_a_persons_button()
-> Result<()> {
    let (mut peers, keystile) = start().await?;
    let browser = Browser::open().await?;
    let key = keystile.key("ben", "trusted").await?;
    let (id, text) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    assert_eq!(keystile.call("DELETE", "/bookmarks/3", text, "curl").await?, 200);

    let mail = peers.next("mail").await?;
    assert_eq!((&mail["encrypted"], &mail["signed_in"]), (&true.into(), &true.into()));
    assert_eq!(mail["headers"]["subject"], "WRITE | ben | DELETE /bookmarks/3");
    assert_eq!(mail["headers"]["auto-submitted"], "auto-generated");
    let plain = mail["plain"].as_str().unwrap();
    assert!(!plain.contains(text), "a message never has a key in it");
    let link = plain
        .split_whitespace()
        .find(|word| word.contains("/action/"))
        .context(plain.to_owned())?;

    // Scanners fetch it, with and without a body, and run its scripts.
    let address = keystile.console.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let path = link.trim_start_matches(&keystile.console);
    for method in ["HEAD", "GET", "GET", "HEAD", "GET"] {
        let request =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        assert_eq!(status_of(&address, &request).await?, 200);
    }
    browser.driver.goto(link).await?;
    browser.until_text("will no longer be able to write").await?;
    assert_eq!(keystile.call("DELETE", "/bookmarks/4", text, "curl").await?, 200);

    browser.one("form.sheet button.danger").await?.click().await?;
    browser.until_text("Was that a mistake?").await?;
    assert_eq!(keystile.call("DELETE", "/bookmarks/5", text, "curl").await?, 403);
    assert_eq!(keystile.call("GET", "/bookmarks/5", text, "curl").await?, 200);
    browser.driver.goto(link).await?;
    browser.until_text("This link has been used").await?;

    // The link signed nobody in.
    browser.driver.goto(format!("{}/keys/{id}", keystile.console)).await?;
    browser.until_text("Sign in").await?;
    let audit = keystile.command(&["audit", "list", "--json"]).await?;
    assert!(audit.contains("\"link\""), "{audit}");
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn a_lock_is_told_on_every_channel_without_a_rule_and_a_webhook_can_be_verified() -> Result<()>
{
    let (mut peers, keystile) = start().await?;
    let key = keystile.key("scraper-17", "open").await?;
    let text = key["key"].as_str().unwrap();
    for number in 0..3 {
        assert_eq!(keystile.call("POST", &format!("/b/{number}"), text, "curl").await?, 200);
    }
    assert_eq!(keystile.call("POST", "/b/41", text, "curl").await?, 403);
    let hook = peers.next("hook").await?;
    assert_eq!(hook["verified"], true);
    assert_eq!(hook["body"]["type"], "key.locked");
    // The mail may have come first; it is the same event.
    let told = keystile.command(&["notify", "list", "--json"]).await?;
    let told: Vec<Value> = serde_json::from_str(&told)?;
    let locks: Vec<_> = told.iter().filter(|one| one["event"] == "key_locked").collect();
    assert_eq!(locks.len(), 2, "{told:#?}");
    keystile.stop().await
}

#[tokio::test]
async fn what_was_sent_but_not_recorded_at_a_kill_arrives_once_more_under_the_same_id() -> Result<()>
{
    let (mut peers, mut keystile) = start_with(5.0, "").await?;
    let key = keystile.key("ben", "trusted").await?;
    let text = key["key"].as_str().unwrap();
    assert_eq!(keystile.call("DELETE", "/b/1", text, "curl").await?, 200);
    let (mail, hook) = both(&mut peers).await?;
    // Both have it; neither has answered.
    keystile.kill_and_start_again().await?;
    let (mail_again, hook_again) = both(&mut peers).await?;
    assert_eq!(mail["headers"]["message-id"], mail_again["headers"]["message-id"]);
    assert_eq!(mail["headers"]["subject"], mail_again["headers"]["subject"]);
    assert_eq!(hook["id"], hook_again["id"]);
    assert!(hook["id"].as_str().is_some_and(|id| !id.is_empty()));
    assert_eq!(hook["body"], hook_again["body"]);
    let more = peers.all_within(Duration::from_secs(9)).await?;
    assert!(more.is_empty(), "{more:#?}");
    let told: Vec<Value> =
        serde_json::from_str(&keystile.command(&["notify", "list", "--json"]).await?)?;
    assert!(told.len() == 2 && told.iter().all(|one| one["state"] == "sent"), "{told:#?}");
    keystile.stop().await
}

/// A mail and a call of the webhook, in whatever order.
async fn both(peers: &mut Peers) -> Result<(Value, Value)> {
    let (mut mail, mut hook) = (None, None);
    while mail.is_none() || hook.is_none() {
        let line = tokio::time::timeout(PATIENCE * 3, peers.lines.next_line());
        let message: Value = serde_json::from_str(&line.await??.context("the peers ended")?)?;
        match message["kind"].as_str() {
            Some("mail") => mail = Some(message),
            Some("hook") => hook = Some(message),
            Some(_) | None => {}
        }
    }
    mail.zip(hook).context("both are there")
}

#[tokio::test]
async fn a_push_is_verified_and_decrypted_by_another_library_and_shown_by_a_browser() -> Result<()>
{
    let phone = "[channel.phone]\nkind = \"web_push\"\ncontact = \"mailto:me@example.org\"\n\
         allow_networks = [\"127.0.0.0/8\", \"::1/128\"]\n";
    let (mut peers, keystile) = start_with(0.0, phone).await?;
    let browser = Browser::open().await?;
    browser.claim(&keystile.claim, "ada").await?;
    let device = json!({ "label": "my phone", "subscription": {
        "endpoint": format!("https://localhost:{}/push/abc", peers.push),
        "keys": { "p256dh": peers.ready["p256dh"], "auth": peers.ready["auth"] },
    }});
    let subscribe = "const done = arguments[arguments.length - 1]; fetch('/settings/devices', \
        { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(arguments[0]) }) \
        .then(answer => answer.json()).then(done, error => done(String(error)))";
    let said = browser.driver.execute_async(subscribe, vec![device]).await?;
    assert_eq!(said.json()["to"], "/settings#devices", "{said:?}");

    browser.driver.goto(format!("{}/settings", keystile.console)).await?;
    browser
        .one("form[action^='/settings/devices/'][action$='/test'] button")
        .await?
        .click()
        .await?;
    let test = peers.next("push").await?;
    assert_eq!(test["plain"]["notification"]["title"], "TEST | this channel works");
    browser.until_text("201").await?;

    let key = keystile.key("scraper-17", "open").await?;
    let text = key["key"].as_str().unwrap();
    for number in 0..4 {
        keystile.call("POST", &format!("/b/{number}"), text, "curl").await?;
    }
    let push = peers.next("push").await?;
    assert_eq!(push["verified"], true);
    assert_eq!(push["claims"]["sub"], "mailto:me@example.org");
    assert_eq!(push["claims"]["aud"], format!("https://localhost:{}", peers.push));
    assert_eq!(
        (&push["headers"]["urgency"], &push["headers"]["ttl"]),
        (&"high".into(), &"259200".into())
    );
    let shown = &push["plain"]["notification"];
    let title = shown["title"].as_str().unwrap();
    assert!(title.starts_with("LOCKED | scraper-17 | 4th of 3 writes"), "{title}");

    // The service worker of a real browser shows what was decrypted.
    let shows = browser.push(&keystile.console, &push["plain"].to_string()).await?;
    assert_eq!(shows["title"], title);
    assert_eq!(shows["body"], shown["body"]);
    let buttons = shows["actions"].as_array().unwrap();
    assert!((1..=2).contains(&buttons.len()), "{shows}");
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn the_link_of_a_locks_mail_comes_back_to_unlocking_after_sign_in() -> Result<()> {
    let (mut peers, keystile) = start().await?;
    let browser = Browser::open().await?;
    browser.claim(&keystile.claim, "ada").await?;
    browser.driver.goto(&keystile.console).await?;
    browser.one("form.out button").await?.click().await?;
    browser.until_text("Use a passkey").await?;

    let key = keystile.key("scraper-17", "open").await?;
    let (id, text) = (key["id"].as_str().unwrap(), key["key"].as_str().unwrap());
    for number in 0..4 {
        keystile.call("POST", &format!("/b/{number}"), text, "curl").await?;
    }
    let mail = peers.next("mail").await?;
    let plain = mail["plain"].as_str().unwrap();
    let link = plain
        .split_whitespace()
        .find(|word| word.ends_with("/unlock"))
        .context(plain.to_owned())?;
    browser.driver.goto(link).await?;
    browser.one("button[data-passkey]").await?.click().await?;
    browser.until_text("will be able to write again").await?;
    assert_eq!(browser.axe().await?, Vec::<Value>::new());
    assert_eq!(browser.driver.current_url().await?.path(), format!("/keys/{id}/unlock"));
    let shown = keystile.command(&["key", "show", id, "--json"]).await?;
    assert!(shown.contains("\"locked\""), "nothing happens before the button: {shown}");
    browser.one("form.sheet button.primary").await?.click().await?;
    browser.until_text("Lock again").await?;
    let shown = keystile.command(&["key", "show", id, "--json"]).await?;
    assert!(shown.contains("\"active\""), "{shown}");
    browser.close().await?;
    keystile.stop().await
}

#[tokio::test]
async fn a_digest_is_ended_with_one_click_and_locks_still_come() -> Result<()> {
    let watch =
        "[watch.all]\non = [\"notes: POST *\"]\ntell = [\"mail\"]\nwindow = \"3 seconds\"\n";
    let (mut peers, keystile) = start_with(0.0, watch).await?;
    let browser = Browser::open().await?;
    let ben = keystile.key("ben", "trusted").await?;
    let ben = ben["key"].as_str().unwrap();
    for number in 0..5 {
        assert_eq!(keystile.call("POST", &format!("/b/{number}"), ben, "curl").await?, 200);
    }
    assert_eq!(peers.next("mail").await?["headers"]["subject"], "WRITE | ben | POST /b/0");
    let digest = peers.next("mail").await?;
    let subject = digest["headers"]["subject"].as_str().unwrap();
    assert!(subject.starts_with("4 WRITES | ben | last "), "{subject}");
    let link = digest["headers"]["list-unsubscribe"].as_str().context("no List-Unsubscribe")?;
    let link = link.trim_matches(['<', '>']).to_owned();

    // Who fetches it ends nothing; a mail program posts by itself, without a cookie.
    browser.driver.goto(&link).await?;
    browser.until_text("me@example.org will get no more digests of the rule all.").await?;
    browser.one("form.sheet button.danger").await?;
    assert_eq!(browser.axe().await?, Vec::<Value>::new());
    let address = keystile.console.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    let (path, body) = (link.trim_start_matches(&keystile.console), "List-Unsubscribe=One-Click");
    let post = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(status_of(&address, &post).await?, 200);
    browser.driver.goto(&link).await?;
    browser.until_text("To get the digests back").await?;

    for number in 5..9 {
        assert_eq!(keystile.call("POST", &format!("/b/{number}"), ben, "curl").await?, 200);
    }
    let scraper = keystile.key("scraper", "open").await?;
    for number in 0..4 {
        let key = scraper["key"].as_str().unwrap();
        keystile.call("PATCH", &format!("/b/{number}"), key, "curl").await?;
    }
    let later = peers.all_within(Duration::from_secs(12)).await?;
    let subjects: Vec<_> =
        later.iter().filter_map(|one| one["headers"]["subject"].as_str()).collect();
    assert!(subjects.iter().any(|subject| subject.starts_with("LOCKED | scraper")), "{subjects:?}");
    assert!(!subjects.iter().any(|subject| subject.contains("WRITES")), "{subjects:?}");

    let channels = keystile.command(&["notify", "channels", "--json"]).await?;
    assert!(channels.contains("\"receiver\":\"me@example.org\""), "{channels}");
    keystile.command(&["notify", "resume", "mail"]).await?;
    let channels = keystile.command(&["notify", "channels", "--json"]).await?;
    assert!(!channels.contains("\"receiver\""), "{channels}");
    let audit = keystile.command(&["audit", "list", "--json"]).await?;
    assert!(audit.contains("digests_stopped") && audit.contains("digests_resumed"), "{audit}");
    browser.close().await?;
    keystile.stop().await
}

/// The writes of the storm; 100,000 in `STORM_WRITES` is a minute of it.
fn storm_writes() -> u64 {
    std::env::var("STORM_WRITES").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[tokio::test]
async fn a_storm_of_fifty_keys_is_told_in_few_messages_with_an_exact_total() -> Result<()> {
    const KEYS: u64 = 50;
    let watch = "[watch.all]\non = [\"notes: POST *\"]\ntell = [\"ops\"]\nwindow = \"3 seconds\"\n\
         [plan.storm]\nallow = [\"notes: *\"]\nwrite_budget = [\"1000000 per day\"]\n";
    let (mut peers, keystile) = start_with(0.0, watch).await?;
    let each = storm_writes() / KEYS;
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..KEYS {
        let key = keystile.key(&format!("bot-{number}"), "storm").await?;
        let (text, gate) = (key["key"].as_str().unwrap().to_owned(), keystile.gate.clone());
        callers.spawn(async move { write_often(&gate, &text, each).await });
    }
    while let Some(done) = callers.join_next().await {
        done??;
    }
    let took = began.elapsed();
    let memory = peak_memory(&keystile)?;

    let (mut told, mut messages) = (0, 0);
    while told < each * KEYS {
        let line = tokio::time::timeout(Duration::from_secs(120), peers.lines.next_line());
        let message: Value = serde_json::from_str(&line.await??.context("the peers ended")?)?;
        let title = message["body"]["data"]["title"].as_str().unwrap_or_default();
        let first = title.split(' ').next().unwrap_or_default();
        told += first.parse::<u64>().unwrap_or(1);
        messages += 1;
    }
    println!(
        "{told} writes in {took:.1?} told in {messages} messages; {} MiB at the peak",
        memory / 1024
    );
    assert_eq!(told, each * KEYS);
    assert!(messages <= 12, "{messages}");
    assert!(memory < 200 * 1024, "{memory} KiB");
    let left = peers.all_within(Duration::from_secs(2)).await?;
    assert!(left.is_empty(), "{left:#?}");
    keystile.stop().await
}

async fn write_often(gate: &str, key: &str, count: u64) -> Result<()> {
    let mut stream = TcpStream::connect(gate).await?;
    let request = format!(
        "POST /notes HTTP/1.1\r\nHost: {gate}\r\nX-API-Key: {key}\r\nContent-Length: 0\r\n\r\n"
    );
    let mut answer = vec![0; 16 * 1024];
    for _ in 0..count {
        stream.write_all(request.as_bytes()).await?;
        let mut length = 0;
        while !answer[..length].ends_with(b"\r\n\r\nok") {
            match stream.read(&mut answer[length..]).await? {
                0 => bail!("{}", String::from_utf8_lossy(&answer[..length])),
                more => length += more,
            }
        }
        if !answer.starts_with(b"HTTP/1.1 200") {
            bail!("{}", String::from_utf8_lossy(&answer[..length]));
        }
    }
    Ok(())
}

/// In KiB.
fn peak_memory(keystile: &Keystile) -> Result<u64> {
    let pid = keystile.pid().context("it runs")?;
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()).context("no peak")?;
    Ok(kib.parse()?)
}

/// Prints the time from a write, and from a lock, to the end of the mail's `DATA`. Not a test: it holds no
/// bound. `cargo test --test told -- --ignored --nocapture latency`
#[tokio::test]
#[ignore = "a measurement of some minutes"]
async fn latency_from_a_write_to_its_mail() -> Result<()> {
    const ROUNDS: usize = 100;
    let watch = "[watch.all]\non = [\"notes: POST *\"]\ntell = [\"mail\"]\nwindow = \"1 second\"\n";
    let (mut peers, keystile) = start_with(0.0, watch).await?;
    let ben = keystile.key("ben", "trusted").await?;
    let (mut writes, mut locks) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let sent = unix_seconds();
        keystile.call("POST", &format!("/b/{round}"), ben["key"].as_str().unwrap(), "curl").await?;
        writes.push(mail_at(&mut peers, "WRITE | ben | POST").await? - sent);
        let key = keystile.key(&format!("bot-{round}"), "open").await?;
        let text = key["key"].as_str().unwrap();
        for number in 0..3 {
            keystile.call("DELETE", &format!("/b/{number}"), text, "curl").await?;
        }
        // The rule for deletes tells its own mail, now or in a digest.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        let _ = peers.all_within(Duration::from_millis(50)).await?;
        let sent = unix_seconds();
        keystile.call("DELETE", "/b/last", text, "curl").await?;
        locks.push(mail_at(&mut peers, "LOCKED | ").await? - sent);
    }
    for (name, mut seconds) in [("write", writes), ("lock", locks)] {
        seconds.sort_by(f64::total_cmp);
        let at = |share: usize| seconds[(seconds.len() - 1) * share / 100] * 1_000.0;
        println!("{name} to mail: median {:.0} ms, p99 {:.0} ms", at(50), at(99));
    }
    keystile.stop().await
}

/// When the next mail whose subject begins like this came.
async fn mail_at(peers: &mut Peers, subject: &str) -> Result<f64> {
    loop {
        let mail = peers.next("mail").await?;
        if mail["headers"]["subject"].as_str().is_some_and(|text| text.starts_with(subject)) {
            return mail["at"].as_f64().context("a time");
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "the mail server tells the time that it has")]
fn unix_seconds() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}
