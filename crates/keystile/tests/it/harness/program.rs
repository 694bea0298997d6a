//! The program, started and listened to.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use serde_json::Value;

use super::wait_until;

/// The program, with nothing of the environment of the tests in it.
pub(crate) fn keystile(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_keystile"));
    command.current_dir(folder).args(arguments).stdin(Stdio::null());
    for name in ["KEYSTILE_CONFIG", "KEYSTILE_DATA", "KEYSTILE_LOG"] {
        command.env_remove(name);
    }
    command
}

/// A command that has ended.
#[derive(Clone, Debug)]
pub(crate) struct Finished {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The same, where it succeeded.
    #[track_caller]
    pub(crate) fn good(self) -> Self {
        assert_eq!(self.code, Some(0), "{self:?}");
        self
    }

    /// What it said, where it failed in an orderly way and printed no data.
    #[track_caller]
    pub(crate) fn bad(self) -> String {
        assert_eq!((self.code, self.stdout.as_str()), (Some(1), ""), "{}", self.stderr);
        self.stderr
    }

    /// Its data.
    #[track_caller]
    pub(crate) fn json(self) -> Value {
        let good = self.good();
        serde_json::from_str(&good.stdout).unwrap_or_else(|error| panic!("{error}: {good:?}"))
    }
}

/// A program that runs for long, killed when it is dropped. What it prints goes into files.
#[derive(Debug)]
pub(crate) struct Program {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Program {
    /// Starts a command; `name` is that of its files in `folder`.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let path = |kind: &str| folder.join(format!("{name}.{kind}"));
        let (stdout, stderr) = (path("out"), path("err"));
        command.stdout(File::create(&stdout).unwrap());
        command.stderr(File::create(&stderr).unwrap());
        Self { child: command.spawn().unwrap(), stdout, stderr }
    }

    /// The same, where what it says goes elsewhere.
    pub(crate) fn saying_to(
        mut command: Command,
        folder: &Path,
        name: &str,
        (stdout, stderr): (Option<Stdio>, Option<Stdio>),
    ) -> Self {
        let path = |kind: &str| folder.join(format!("{name}.{kind}"));
        let file = |kind: &str| Stdio::from(File::create(path(kind)).unwrap());
        command.stdout(stdout.unwrap_or_else(|| file("out")));
        command.stderr(stderr.unwrap_or_else(|| file("err")));
        Self { child: command.spawn().unwrap(), stdout: path("out"), stderr: path("err") }
    }

    /// The same, with nobody who reads what it prints.
    pub(crate) fn unheard(mut command: Command, folder: &Path, name: &str) -> Self {
        let path = |kind: &str| folder.join(format!("{name}.{kind}"));
        let (stdout, stderr) = (path("out"), path("err"));
        command.stdout(Stdio::piped());
        command.stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        drop(child.stdout.take());
        Self { child, stdout, stderr }
    }

    /// What it has printed.
    pub(crate) fn stdout(&self) -> String {
        std::fs::read_to_string(&self.stdout).unwrap()
    }

    /// What it has said.
    pub(crate) fn stderr(&self) -> String {
        std::fs::read_to_string(&self.stderr).unwrap_or_default()
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// The memory that it has, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Sends a signal by its name, as in `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let line = format!("kill -{name} {}", self.child.id());
        let sent = Command::new("sh").args(["-c", &line]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end; `None` where a signal ended it.
    pub(crate) fn wait(&mut self) -> Option<i32> {
        let mut status = None;
        wait_until("the program ends", || {
            status = self.ended();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Ends it at once, as a power cut would.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
