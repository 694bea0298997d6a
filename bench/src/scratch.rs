//! Temporary directories that remove themselves, free ports, and files filled from templates.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use crate::Outcome;

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);
static NEXT_DIR: AtomicU32 = AtomicU32::new(0);

/// A directory under the system's temporary one, removed when the value is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes an empty directory that only this user can read: it holds keys.
    pub fn new() -> Outcome<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let number = NEXT_DIR.fetch_add(1, Ordering::Relaxed);
        let name = format!("keystile-bench-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes `text` into the file `name` and gives its path.
    pub fn write(&self, name: &str, text: &str) -> Outcome<PathBuf> {
        let path = self.path.join(name);
        std::fs::write(&path, text)?;
        Ok(path)
    }

    /// Fills `@NAME@` tokens of a template and writes the result into the file `name`.
    pub fn fill(&self, name: &str, template: &str, values: &[(&str, String)]) -> Outcome<PathBuf> {
        let mut text = template.to_owned();
        for (token, value) in values {
            text = text.replace(&format!("@{token}@"), value);
        }
        self.write(name, &text.replace("@DIR@", &self.path.display().to_string()))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("keystile-bench: {} stays: {error}", self.path.display());
        }
    }
}

/// Finds a loopback port that nothing listens on.
///
/// It lies below the range from which the kernel picks ports for outgoing connections, so that a
/// connection of the load cannot take it between here and the start of the program.
pub fn free_port() -> Outcome<u16> {
    const FIRST: u16 = 20_000;
    const COUNT: u16 = 12_000;
    let start = u16::try_from(std::process::id() % u32::from(COUNT))?;
    for _ in 0..COUNT {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST + (start + step % COUNT) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    Err("no free port between 20000 and 31999".into())
}
