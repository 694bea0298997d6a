//! That the files which the store has open are still those in its directory.
//!
//! # What this protects
//!
//! A file that was deleted or replaced stays open, and commits to it succeed; at the next start they are gone. So
//! before each transaction the names are compared with what is open, and a store that has lost its place
//! refuses writes until it has it back.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::sqlite::files::directory::DataDirectory;

/// The files of an open store, each with its device and number.
#[derive(Debug, Default)]
pub(crate) struct PresentFiles(Vec<(PathBuf, (u64, u64))>);

impl PresentFiles {
    /// Notes what is open, which has to happen right after it was opened.
    pub(crate) fn of(directory: &DataDirectory) -> Self {
        let paths = [directory.database(), directory.log(), directory.lock_path()];
        let found = paths.into_iter().filter_map(|path| {
            let metadata = path.metadata().ok()?;
            Some((path, (metadata.dev(), metadata.ino())))
        });
        Self(found.collect())
    }

    pub(crate) fn check(&self) -> Result<()> {
        for (path, opened) in &self.0 {
            let is_it = path.metadata().is_ok_and(|found| (found.dev(), found.ino()) == *opened);
            if !is_it {
                return Err(Error::Gone { path: path.clone() });
            }
        }
        Ok(())
    }
}
