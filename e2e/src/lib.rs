//! What the browser tests stand on: a real Keystile before a small API, and a real Chromium.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// How long a page may take to show what it should.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// An API that says yes to everything.
async fn serve_yes(listener: TcpListener) {
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut head = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = stream.read(&mut head).await {
                if !head[..length].windows(4).any(|window| window == b"\r\n\r\n") {
                    continue;
                }
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// A running Keystile: plan `open` allows 3 writes an hour and then locks.
pub struct Keystile {
    process: Child,
    environment: Vec<(String, String)>,
    pub folder: tempfile::TempDir,
    pub gate: String,
    /// As in `http://localhost:40001`.
    pub console: String,
    /// The link for the first owner.
    pub claim: String,
}

/// A port that nobody listens on just now.
pub async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0").await?.local_addr()?.port())
}

fn program() -> PathBuf {
    std::env::var_os("KEYSTILE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug/keystile")),
        PathBuf::from,
    )
}

fn run(folder: &Path, environment: &[(String, String)]) -> Result<Child> {
    Command::new(program())
        .args(["run", "--config", "keystile.toml"])
        .envs(environment.iter().map(|(name, value)| (name, value)))
        .current_dir(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("keystile does not start: build it, or name it in KEYSTILE")
}

impl Keystile {
    pub async fn start() -> Result<Self> {
        Self::start_with("", &[]).await
    }

    /// One whose configuration has more in it, and whose environment.
    pub async fn start_with(more: &str, environment: &[(&str, &str)]) -> Result<Self> {
        let upstream = TcpListener::bind("127.0.0.1:0").await?;
        let api = upstream.local_addr()?;
        tokio::spawn(serve_yes(upstream));
        let folder = tempfile::tempdir()?;
        let (gate, console) = (free_port().await?, free_port().await?);
        let text = format!(
            "data = \"data\"\n[gate]\nlisten = [\"127.0.0.1:{gate}\"]\n[console]\nlisten = \"127.0.0.1:{console}\"\n\
             [api.notes]\nupstream = [\"http://{api}\"]\n[plan.open]\nallow = [\"notes: *\"]\n\
             write_budget = [\"3 per hour\"]\n[plan.trusted]\nallow = [\"notes: *\"]\nwrite_budget = [\"5000 per day\"]\n{more}"
        );
        let file = folder.path().join("keystile.toml");
        std::fs::write(&file, text)?;
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let mut process = run(folder.path(), &environment)?;
        let mut lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        let claim = tokio::time::timeout(PATIENCE, async {
            while let Some(line) = lines.next_line().await? {
                if let Some(place) = line.find("/claim/") {
                    return Ok(line[place + 7..].trim().to_owned());
                }
            }
            bail!("keystile ended without a link for an owner")
        })
        .await??;
        // The rest of what it says goes nowhere, so that it never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let gate = format!("127.0.0.1:{gate}");
        let console = format!("http://localhost:{console}");
        let claim = format!("{console}/claim/{claim}");
        Ok(Self { process, environment, folder, gate, console, claim })
    }

    /// Runs a command of the program on the running server; its standard output.
    pub async fn command(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(program())
            .args(arguments)
            .args(["--data", "data"])
            .current_dir(self.folder.path())
            .output()
            .await?;
        if !output.status.success() {
            bail!("{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// A key of an application on a plan.
    pub async fn key(&self, application: &str, plan: &str) -> Result<Value> {
        let arguments = ["key", "create", "--application", application, "--plan", plan, "--json"];
        let made: Value = serde_json::from_str(&self.command(&arguments).await?)?;
        Ok(made.get(0).cloned().unwrap_or(made))
    }

    /// Sends a request through the gate; its status.
    pub async fn call(&self, method: &str, path: &str, key: &str, agent: &str) -> Result<u16> {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nX-API-Key: {key}\r\nUser-Agent: {agent}\r\n\
             Content-Length: 0\r\nConnection: close\r\n\r\n",
            self.gate
        );
        status_of(&self.gate, &request).await
    }

    /// Its process, for who looks at its memory.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends it by SIGKILL, and starts it again on the same data.
    pub async fn kill_and_start_again(&mut self) -> Result<()> {
        self.process.kill().await?;
        self.process = run(self.folder.path(), &self.environment)?;
        let stdout = self.process.stdout.take().context("a pipe")?;
        let mut lines = BufReader::new(stdout).lines();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        for _ in 0..100 {
            if TcpStream::connect(&self.gate).await.is_ok() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("it does not come up again")
    }

    pub async fn stop(mut self) -> Result<()> {
        self.process.kill().await?;
        Ok(())
    }
}

/// Sends a request as it is; the status of its answer.
pub async fn status_of(address: &str, request: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let text = String::from_utf8_lossy(&answer);
    text.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no answer")
}

/// A browser with a virtual authenticator, and the driver that moves it.
pub struct Browser {
    pub driver: WebDriver,
    _process: Child,
}

impl Browser {
    pub async fn open() -> Result<Self> {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("chromedriver does not start: e2e/setup installs it")?;
        let mut lines = BufReader::new(process.stdout.take().context("a pipe")?).lines();
        let port = loop {
            let line = lines.next_line().await?.context("chromedriver ended")?;
            if let Some((_, port)) = line.split_once("started successfully on port ") {
                break port.trim_end_matches('.').to_owned();
            }
        };
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let mut capabilities = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1200,900",
        ] {
            capabilities.add_arg(argument)?;
        }
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), capabilities).await?;
        Ok(Self { driver, _process: process })
    }

    /// Gives the browser a device that makes and shows passkeys.
    pub async fn add_authenticator(&self) -> Result<()> {
        let cdp = self.driver.cdp();
        cdp.send_raw("WebAuthn.enable", json!({})).await?;
        let options = json!({ "protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserVerified": true, "automaticPresenceSimulation": true });
        cdp.send_raw("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await?;
        Ok(())
    }

    /// Becomes an owner by a link, with a passkey.
    pub async fn claim(&self, link: &str, name: &str) -> Result<()> {
        self.add_authenticator().await?;
        self.driver.goto(link).await?;
        self.one("input[name=name]").await?.send_keys(name).await?;
        self.one("button[data-enrol]").await?.click().await?;
        self.until_text("Your recovery codes").await
    }

    /// The first element that fits, once it is shown.
    pub async fn one(&self, css: &str) -> Result<WebElement> {
        let found = self.driver.query(By::Css(css)).wait(PATIENCE, Duration::from_millis(100));
        Ok(found.and_displayed().first().await?)
    }

    pub async fn text(&self) -> Result<String> {
        Ok(self.driver.find(By::Css("body")).await?.text().await?)
    }

    /// Waits until the page shows a text.
    pub async fn until_text(&self, wanted: &str) -> Result<()> {
        let mut last = String::new();
        for _ in 0..100 {
            last = self.text().await.unwrap_or_default();
            if last.contains(wanted) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("the page never showed {wanted:?}; it shows:\n{last}")
    }

    /// What the browser complained about since it was last asked.
    pub async fn complaints(&self) -> Result<Vec<String>> {
        let log = self.driver.execute("if (!window.__complaints) throw new Error('nobody watches'); return window.__complaints", vec![]).await?;
        Ok(serde_json::from_value(log.json().clone())?)
    }

    /// Writes down what the content security policy refuses from now on, in every page.
    pub async fn watch_policy(&self) -> Result<()> {
        let source = "window.__complaints = []; \
            addEventListener('securitypolicyviolation', e => window.__complaints.push(e.violatedDirective + ' ' + e.blockedURI)); \
            addEventListener('error', e => window.__complaints.push(String(e.message)));";
        let arguments = json!({ "source": source });
        self.driver.cdp().send_raw("Page.enable", json!({})).await?;
        self.driver.cdp().send_raw("Page.addScriptToEvaluateOnNewDocument", arguments).await?;
        Ok(())
    }

    /// What axe finds against WCAG 2.2 AA on the page.
    pub async fn axe(&self) -> Result<Vec<Value>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/target/axe/axe.min.js");
        let source =
            std::fs::read_to_string(path).context("axe is missing: e2e/setup fetches it")?;
        self.driver.execute(source, vec![]).await?;
        let run = "const done = arguments[arguments.length - 1]; \
            axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'], resultTypes: ['violations'] }) \
               .then(found => done(found.violations.map(v => ({ id: v.id, help: v.help, nodes: v.nodes.map(n => n.target.join(' ')) }))), \
                     error => done([String(error)]));";
        let found = self.driver.execute_async(run, vec![]).await?;
        Ok(serde_json::from_value(found.json().clone())?)
    }

    /// Light or dark, as the owner's system has it.
    pub async fn prefer(&self, scheme: &str) -> Result<()> {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.driver.cdp().send_raw("Emulation.setEmulatedMedia", features).await?;
        Ok(())
    }

    /// Hands a push message to the console's service worker, as a push service would; what is shown then.
    pub async fn push(&self, origin: &str, payload: &str) -> Result<Value> {
        let cdp = self.driver.cdp();
        let grant = json!({ "origin": origin, "permissions": ["notifications"] });
        cdp.send_raw("Browser.grantPermissions", grant).await?;
        self.driver.goto(origin).await?;
        let register = "const done = arguments[arguments.length - 1]; \
            navigator.serviceWorker.register('/service-worker.js').then(() => navigator.serviceWorker.ready) \
                .then(() => done('ready'), error => done(String(error)))";
        let ready = self.driver.execute_async(register, vec![]).await?;
        if ready.json() != "ready" {
            bail!("no service worker: {ready:?}");
        }
        cdp.send_raw("ServiceWorker.enable", json!({})).await?;
        let origin = origin.trim_end_matches('/');
        // Registrations are numbered from 0, and this browser has one.
        let deliver = json!({ "origin": origin, "registrationId": "0", "data": payload });
        let look = "const done = arguments[arguments.length - 1]; \
            navigator.serviceWorker.ready.then(it => it.getNotifications()) \
                .then(all => done(all.map(one => ({ title: one.title, body: one.body, actions: one.actions, data: one.data }))), \
                      error => done(String(error)))";
        // The browser drops a message for a worker that it does not hold for activated yet, and says nothing.
        for _ in 0..10 {
            cdp.send_raw("ServiceWorker.deliverPushMessage", deliver.clone()).await?;
            for _ in 0..10 {
                let shown = self.driver.execute_async(look, vec![]).await?;
                if let Some(first) = shown.json().get(0) {
                    return Ok(first.clone());
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        bail!("the service worker shows nothing")
    }

    pub async fn close(self) -> Result<()> {
        Ok(self.driver.quit().await?)
    }
}
