//! A folder with a configuration, an API behind it, and a server where one runs.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use serde_json::Value;
use tempfile::TempDir;

use super::{Caller, Finished, Program, Upstream, keystile, wait_until};

/// A key that was issued.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) text: String,
}

/// An installation of Keystile.
#[derive(Debug)]
pub(crate) struct TestServer {
    /// Dropped first, while its folder exists.
    program: Option<Program>,
    folder: TempDir,
    pub(crate) upstream: Upstream,
    pub(crate) gate: SocketAddr,
    pub(crate) console: SocketAddr,
}

/// A port that nobody listens on, outside of those that the system gives away by itself. It is this
/// process's until it ends: whoever runs tests at the same time finds its file locked.
pub(crate) fn free_port() -> u16 {
    static HELD: Mutex<Vec<File>> = Mutex::new(Vec::new());
    let folder = std::env::temp_dir().join("keystile-test-ports");
    std::fs::create_dir_all(&folder).unwrap();
    for port in 12_000..32_000_u16 {
        let file = File::create(folder.join(port.to_string())).unwrap();
        if file.try_lock().is_ok() && TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            HELD.lock().unwrap().push(file);
            return port;
        }
    }
    panic!("every port from 12000 to 32000 is taken");
}

impl TestServer {
    /// A server whose plans are given: what stands after the addresses in its configuration.
    pub(crate) fn new(plans: &str) -> Self {
        let text = "[gate]\nlisten = \"127.0.0.1:7070\"\n[console]\nlisten = \"127.0.0.1:7080\"\n\
                    [api.bookmarks]\nupstream = \"http://127.0.0.1:7071\"\n";
        Self::of_text(&format!("{text}{plans}"))
    }

    /// A server with a configuration of which only the addresses are replaced.
    pub(crate) fn of_text(text: &str) -> Self {
        let address = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        let server = Self {
            folder: tempfile::tempdir().unwrap(),
            upstream: Upstream::start(),
            gate: address(),
            console: address(),
            program: None,
        };
        server.configure(text);
        server
    }

    /// Writes the configuration, with its own addresses in it.
    pub(crate) fn configure(&self, text: &str) {
        let text = text
            .replace("127.0.0.1:7070", &self.gate.to_string())
            .replace("127.0.0.1:7080", &self.console.to_string())
            .replace("127.0.0.1:7071", &self.upstream.address.to_string());
        std::fs::write(self.path("keystile.toml"), text).unwrap();
    }

    /// The configuration as it stands.
    pub(crate) fn configuration(&self) -> String {
        std::fs::read_to_string(self.path("keystile.toml")).unwrap()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// One that runs and is ready.
    pub(crate) fn started(mut self) -> Self {
        self.start();
        self
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(&mut self) {
        self.start_with(&["run"]);
        self.wait_until_ready();
    }

    /// Starts a server with something in its environment, and waits until it is ready.
    pub(crate) fn start_with_environment(&mut self, environment: &[(&str, &str)]) {
        let mut command = keystile(self.folder(), &["run"]);
        command.envs(environment.iter().copied());
        self.program = Some(Program::start(command, self.folder.path(), "server"));
        self.wait_until_ready();
    }

    /// Starts a server without waiting for it.
    pub(crate) fn start_with(&mut self, arguments: &[&str]) {
        let command = keystile(self.folder(), arguments);
        self.program = Some(Program::start(command, self.folder.path(), "server"));
    }

    /// Starts a server that says what it does at a level, and where; waits until it is ready.
    pub(crate) fn start_logging(&mut self, level: &str, stderr: Option<Stdio>) {
        let mut command = keystile(self.folder(), &["run"]);
        command.env("KEYSTILE_LOG", level);
        let program = Program::saying_to(command, self.folder(), "server", (None, stderr));
        self.program = Some(program);
        self.wait_until_ready();
    }

    pub(crate) fn wait_until_ready(&mut self) {
        let console = Caller::new(self.console, None);
        wait_until("the server is ready", || {
            if let Some(status) = self.program().ended() {
                panic!("the server ended with {status}: {}", self.program().stderr());
            }
            console.call("GET", "/readyz").is_ok_and(|answer| answer.status == 200)
        });
    }

    pub(crate) fn program(&mut self) -> &mut Program {
        self.program.as_mut().unwrap()
    }

    /// What the server has said.
    pub(crate) fn log(&self) -> String {
        self.program.as_ref().map(Program::stderr).unwrap_or_default()
    }

    /// Kills the server, as a power cut would.
    pub(crate) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// Stops the server in order.
    pub(crate) fn stop(&mut self) {
        let mut program = self.program.take().unwrap();
        program.signal("TERM");
        assert_eq!(program.wait(), Some(0), "{}", program.stderr());
    }

    /// Runs a command in its folder.
    pub(crate) fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut keystile(self.folder(), arguments))
    }

    /// Runs a command that prints JSON.
    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).json()
    }

    /// Issues a key.
    #[track_caller]
    pub(crate) fn issue(&self, application: &str, plan: &str) -> Key {
        let line = ["key", "create", "--application", application, "--plan", plan, "--create"];
        let key = self.json(&line);
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        Key { id: text("id"), text: text("key") }
    }

    /// Somebody with a key.
    pub(crate) fn caller(&self, key: &Key) -> Caller {
        Caller::new(self.gate, Some(&key.text))
    }

    /// Somebody without a key.
    pub(crate) fn stranger(&self) -> Caller {
        Caller::new(self.gate, None)
    }

    /// A key as it is listed.
    pub(crate) fn key(&self, key: &Key) -> Value {
        self.json(&["key", "show", &key.id])
    }

    /// How often something happened to a key.
    pub(crate) fn events(&self, key: &Key, kind: &str) -> usize {
        let events = self.key(key)["events"].as_array().unwrap().clone();
        events.iter().filter(|event| event["kind"] == kind).count()
    }

    /// The whole journal, earliest first.
    #[track_caller]
    pub(crate) fn journal(&self) -> Vec<Value> {
        let lines = self.run(&["journal", "export"]).good().stdout;
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// What a page of the console says.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        let answer = Caller::new(self.console, None).get(path);
        (answer.status, answer.body)
    }
}
