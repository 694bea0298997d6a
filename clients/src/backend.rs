//! Keystile with a backend, and the account that it answers for.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::tls::Trust;

const PATIENCE: Duration = Duration::from_secs(10);
const USER: &str = "portal";
const PASSWORD: &str = "a password of the portal";

/// A running Keystile.
pub struct Backend {
    process: Child,
    pub(crate) place: Place,
    _folder: tempfile::TempDir,
}

/// How a backend is spoken to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Plain,
    Tls,
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

#[expect(clippy::disallowed_methods, reason = "a test that waits holds up nobody")]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn program() -> PathBuf {
    std::env::var_os("KEYSTILE").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/debug/keystile")),
        PathBuf::from,
    )
}

impl Backend {
    pub fn start(wire: Wire) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let [gate, console, backend, api] = std::array::from_fn(|_| free_port());
        let (gate, console, backend, api) = (gate?, console?, backend?, api?);
        std::fs::write(folder.path().join("password"), PASSWORD)?;
        let (trust, tls) = match wire {
            Wire::Plain => (None, ""),
            Wire::Tls => {
                let tls = "tls = { certificate = \"cert.pem\", key = \"key.pem\" }\n";
                (Some(Trust::make(folder.path())?), tls)
            }
        };
        let text = format!(
            "data = \"data\"\n[gate]\nlisten = [\"127.0.0.1:{gate}\"]\n[console]\nlisten = \"127.0.0.1:{console}\"\n\
             [threescale_backend]\nlisten = \"127.0.0.1:{backend}\"\n{tls}\
             internal = {{ user = \"{USER}\", password_file = \"password\" }}\n\
             [api.notes]\nupstream = [\"http://127.0.0.1:{api}\"]\n\
             [plan.open]\nallow = [\"notes: *\"]\nwrite_budget = [\"3 per hour\"]\n"
        );
        std::fs::write(folder.path().join("keystile.toml"), text)?;
        let mut process = Command::new(program())
            .args(["run", "--config", "keystile.toml"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("keystile does not start: build it, or name it in KEYSTILE")?;
        let address = format!("127.0.0.1:{backend}");
        let start = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if let Some(status) = process.try_wait()? {
                bail!("keystile ended with {status}");
            }
            if start.elapsed() > PATIENCE {
                process.kill()?;
                bail!("the backend does not come up");
            }
            pause();
        }
        Ok(Self { process, place: Place { address, trust }, _folder: folder })
    }

    /// Asks the internal API for something that it does.
    pub fn internal(&self, method: &str, path: &str, body: &Value) -> Result<()> {
        let body = body.to_string();
        let credentials = BASE64_STANDARD.encode(format!("{USER}:{PASSWORD}"));
        let request = format!(
            "{method} /internal{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Basic {credentials}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.place.address,
            body.len()
        );
        let answer = self.place.exchange(&request)?;
        if !answer.starts_with("HTTP/1.1 20") {
            bail!("{method} {path} {body}: {answer}");
        }
        Ok(())
    }

    /// Makes the account as a portal does: service 7 knows user keys, service 8 pairs of an id and a key. In both,
    /// a post is a hit, and an application has 5 hits a year.
    pub fn fill(&self) -> Result<()> {
        for (service, version) in [("7", "1"), ("8", "2")] {
            let at = |path: &str| format!("/services/{service}{path}");
            let record = json!({ "id": service, "provider_key": "provider-key", "backend_version": version,
                "state": "active", "default_service": service == "7" });
            self.internal("PUT", &at(""), &json!({ "service": record }))?;
            let token = json!({ "service-token": { "service_id": service } });
            self.internal("POST", "/service_tokens/", &json!({ "service_tokens": token }))?;
            let hits = json!({ "name": "hits" });
            self.internal("PUT", &at("/metrics/1"), &json!({ "metric": hits }))?;
            let post = json!({ "name": "post", "parent_id": "1" });
            self.internal("PUT", &at("/metrics/2"), &json!({ "metric": post }))?;
            for (period, value) in [("year", 5), ("month", 50)] {
                let limit = json!({ "usagelimit": { period: value } });
                self.internal("PUT", &at(&format!("/plans/3/usagelimits/1/{period}")), &limit)?;
            }
        }
        for (service, application) in [("7", "a7"), ("8", "a8")] {
            self.set_state(service, application, "active")?;
        }
        self.internal("PUT", "/services/7/applications/a7/key/user-key", &json!({}))?;
        let key = json!({ "application_key": { "value": "app-key" } });
        self.internal("POST", "/services/8/applications/a8/keys/", &key)
    }

    /// Lets an application call, or suspends it; makes it where it is missing.
    pub fn set_state(&self, service: &str, application: &str, state: &str) -> Result<()> {
        let record = json!({ "service_id": service, "id": application, "state": state,
            "plan_id": "3", "plan_name": "Basic & more" });
        let path = format!("/services/{service}/applications/{application}");
        self.internal("PUT", &path, &json!({ "application": record }))
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        // It has ended where this fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Where a backend is, for a client that lives as long as it does.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) address: String,
    trust: Option<Trust>,
}

impl Place {
    /// Sends a request as it is; the whole answer.
    pub(crate) fn exchange(&self, request: &str) -> Result<String> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        if let Some(trust) = &self.trust {
            return trust.exchange(stream, request);
        }
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The certificate of whoever vouches for it, where it speaks TLS.
    pub(crate) fn authority(&self) -> Option<&Path> {
        self.trust.as_ref().map(|trust| trust.authority.as_path())
    }
}
