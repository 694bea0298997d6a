//! Copies of the store, and whether its file is sound.

use std::path::PathBuf;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sqlite::connection;
use crate::sqlite::files::backup::{self, Contents};
use crate::store::Store;

impl Store {
    /// Copies the store, as it is now, into a new file, and verifies the copy.
    ///
    /// # Errors
    /// `Exists` when there is a file of the name; when the copy cannot be written or is not whole.
    pub async fn back_up(self: &Arc<Self>, to: PathBuf) -> Result<Contents> {
        let store = self.clone();
        off_the_runtime(move || backup::backup(&store, &to)).await
    }

    /// The folder of the data directory where copies go, which is made where it is missing.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn backup_folder(&self) -> Result<PathBuf> {
        let directory = self.directory().clone();
        off_the_runtime(move || directory.backups()).await
    }

    /// Looks through the whole database file; what is wrong with it, if anything.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn check_file(&self) -> Result<Option<String>> {
        self.query(connection::check).await
    }
}

async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime is ending, and nobody waits for the answer.
        Err(_) => Err(Error::Unavailable),
    }
}
