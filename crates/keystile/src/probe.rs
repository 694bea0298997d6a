//! Whether the disk of a data directory answers, asked by a process of its own.
//!
//! # What this protects
//!
//! A process that waits in the kernel for a file system that hangs cannot be ended, not even by itself: a
//! command that touched such a disk would say what is wrong and still not give the terminal back. So a
//! child touches it first, and only the child is left behind.

use std::fs::OpenOptions;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use keystile_store::error::Error as StoreError;

/// The argument by which the program knows that it is the child.
const CHILD: &str = "--probe-disk";
/// How long the disk may take to carry out something small.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the child does, where this process is one.
pub fn child() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != CHILD {
        return None;
    }
    let lock = Path::new(&arguments.next()?).join("keystile.lock");
    // Whether it can is not the question, only whether there is an answer.
    if let Ok(file) = OpenOptions::new().write(true).open(lock) {
        let _ = file.set_len(0).and_then(|()| file.sync_all());
    }
    Some(ExitCode::SUCCESS)
}

/// Refuses a data directory whose disk does not answer. One that does not exist has nothing to wait for.
pub fn disk_of(data: &Path) -> Result<(), StoreError> {
    let Ok(program) = std::env::current_exe() else { return Ok(()) };
    let child = Command::new(program)
        .arg(CHILD)
        .arg(data)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    // Without a child nothing is known, and the disk is tried without.
    let Ok(mut child) = child else { return Ok(()) };
    let (sender, ended) = mpsc::channel();
    std::thread::spawn(move || sender.send(child.wait().is_ok()));
    match ended.recv_timeout(PATIENCE) {
        Err(mpsc::RecvTimeoutError::Timeout) => Err(StoreError::NoAnswer { path: data.to_owned() }),
        Ok(_) | Err(mpsc::RecvTimeoutError::Disconnected) => Ok(()),
    }
}
