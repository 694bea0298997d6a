//! Clients in other languages: a program each, which makes one call for each line.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::{Backend, Client};

/// A program that drives a client.
pub struct Program {
    process: Child,
    calls: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("{command:?} does not start: clients/setup installs it")
            })?;
        let calls = process.stdin.take().context("a pipe")?;
        let answers = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Self { process, calls, answers })
    }
}

impl Client for Program {
    fn call(&mut self, call: &Value) -> Result<Value> {
        writeln!(self.calls, "{call}")?;
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            bail!("the client ended at {call}");
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended where this fails.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// ThreeScalePY, from PyPI.
pub fn python(backend: &Backend) -> Result<Program> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(home.join("target/python/bin/python"));
    command.arg(home.join("python/client.py"));
    let address = &backend.place.address;
    match backend.place.authority() {
        None => command.arg(format!("http://{address}")),
        Some(authority) => command
            .arg(format!("https://{}", address.replace("127.0.0.1", "localhost")))
            .env("SSL_CERT_FILE", authority)
            .env("REQUESTS_CA_BUNDLE", authority),
    };
    Program::start(&mut command)
}

/// 3scale, from the npm registry, which speaks only TLS.
pub fn node(backend: &Backend) -> Result<Program> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let authority = backend.place.authority().context("this client speaks only TLS")?;
    let mut command = Command::new("node");
    command.arg(home.join("node/client.js")).arg(&backend.place.address);
    Program::start(command.env("NODE_EXTRA_CA_CERTS", authority))
}
