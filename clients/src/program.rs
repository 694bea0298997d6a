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
    _folder: Option<tempfile::TempDir>,
}

impl Program {
    fn start(command: &mut Command, folder: Option<tempfile::TempDir>) -> Result<Self> {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().with_context(|| {
                format!("{command:?} does not start: clients/setup installs it")
            })?;
        let calls = process.stdin.take().context("a pipe")?;
        let answers = BufReader::new(process.stdout.take().context("a pipe")?);
        Ok(Self { process, calls, answers, _folder: folder })
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
    Program::start(command.arg(home.join("python/client.py")).arg(&backend.address), None)
}

/// 3scale, from the npm registry.
pub fn node(backend: &Backend) -> Result<Program> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir()?;
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
        .args(["-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(folder.path())
        .output()?;
    if !made.status.success() {
        bail!("openssl: {}", String::from_utf8_lossy(&made.stderr));
    }
    let certificate = folder.path().join("certificate.pem");
    let mut command = Command::new("node");
    command
        .arg(home.join("node/client.js"))
        .arg(&backend.address)
        .args([&certificate, &folder.path().join("key.pem")])
        .env("NODE_EXTRA_CA_CERTS", &certificate);
    Program::start(&mut command, Some(folder))
}
