//! Being told, by real peers: a mail server with STARTTLS and AUTH, a webhook that checks signatures, and the way
//! from the mail to the locked key in a real browser.

use std::process::Stdio;

use anyhow::{Context, Result, bail};
use keystile_e2e::{Browser, Keystile, PATIENCE, free_port, status_of};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The peers, and what they received.
struct Peers {
    _process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    smtp: u16,
    hook: u16,
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
    async fn start() -> Result<Self> {
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
        let (smtp, hook) = (free_port().await?, free_port().await?);
        let home = concat!(env!("CARGO_MANIFEST_DIR"), "/target/peers/bin/python");
        let mut process = Command::new(home)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/peers.py"))
            .args([smtp.to_string(), hook.to_string()])
            .args([path.join("cert.pem"), path.join("key.pem")])
            .arg(SECRET)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("the peers do not start: e2e/setup installs them")?;
        let lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        let mut peers = Self { _process: process, lines, smtp, hook, folder };
        peers.next("ready").await?;
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

    fn configuration(&self) -> String {
        let (smtp, hook, path) = (self.smtp, self.hook, self.folder.path().display());
        format!(
            "[watch.deletes]\non = [\"notes: DELETE *\"]\ntell = [\"mail\", \"ops\"]\n\
             [channel.mail]\nkind = \"email\"\nto = [\"me@example.org\"]\nfrom = \"keystile@example.org\"\n\
             smtp = {{ url = \"smtp://user@localhost:{smtp}?tls=required\", password_file = \"{path}/smtp.password\" }}\n\
             allow_networks = [\"127.0.0.0/8\", \"::1/128\"]\n\
             [channel.ops]\nkind = \"webhook\"\nurl = \"http://127.0.0.1:{hook}/\"\n\
             secret_file = \"{path}/hook.secret\"\nallow_networks = [\"127.0.0.0/8\"]\n"
        )
    }
}

async fn start() -> Result<(Peers, Keystile)> {
    let peers = Peers::start().await?;
    let authority = peers.folder.path().join("ca.pem");
    let environment = [("SSL_CERT_FILE", authority.to_str().context("a plain path")?)];
    let keystile = Keystile::start_with(&peers.configuration(), &environment).await?;
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
    browser.until_text("can no longer write").await?;
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
