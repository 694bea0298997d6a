//! What can go wrong with the store, in sentences for the owner.

use std::io::ErrorKind;
use std::path::PathBuf;

use rusqlite::ffi;

/// The result of a store operation.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store could not do what was asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The data directory cannot be used.
    #[error("the data directory {path} cannot be used")]
    Directory {
        /// The directory, or the file in it.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// A backup can be neither written there nor read from there.
    #[error("the backup file {path} cannot be used")]
    BackupFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// Another process holds the data directory.
    #[error("another Keystile is running on {path}")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// File locks and memory maps of SQLite are not reliable there.
    #[error(
        "the directory {path} is on a network file system ({kind}), where SQLite cannot keep data safe"
    )]
    NetworkFileSystem {
        /// The directory.
        path: PathBuf,
        /// Its kind, as in `NFS`.
        kind: &'static str,
    },
    /// The file belongs to another program.
    #[error("the store file is a database of another program")]
    NotKeystile,
    /// The file was written by a later version.
    #[error("the store was written by a newer Keystile (format {found}; this one knows {known})")]
    Newer {
        /// The file's format.
        found: u32,
        /// The latest that this program knows.
        known: u32,
    },
    /// The file is damaged.
    #[error("the store file is damaged: {0}")]
    Corrupt(String),
    /// The file that was to be restored is something else, or damaged.
    #[error("the file {path} cannot be restored: {why}")]
    NotABackup {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The pepper file is missing or damaged, and with it every key.
    #[error("the pepper file {path} is {fault}; without it no key can be recognized")]
    Pepper {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// A name is taken.
    #[error("there is already {0}")]
    Exists(String),
    /// Something that was named does not exist.
    #[error("there is no {0}")]
    Missing(String),
    /// What was asked makes no sense in the present state.
    #[error("{0}")]
    Conflict(String),
    /// A key is to be unlocked that is locked with its whole application, which is named.
    #[error(
        "the key carries no lock of its own: its application {0} is locked, with all of its keys"
    )]
    LockedApplication(String),
    /// What was to be changed is not as the one who asks last saw it.
    #[error("the {0} was changed since you looked at it")]
    Stale(String),
    /// The store could not commit, or its writer has ended.
    #[error("the store cannot record anything at the moment")]
    Unavailable,
    /// What was acknowledged is not all there.
    #[error("commits that were acknowledged are missing in {path}: {what}")]
    Lost {
        /// The directory.
        path: PathBuf,
        /// How that is known.
        what: String,
    },
    /// A file of the store is no longer what it was when it was opened.
    #[error("the file {path} was deleted or replaced while Keystile was running")]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The database holds something that would act on its own.
    #[error("the store file holds something that Keystile did not put there: {0}")]
    Foreign(String),
    /// The disk neither does what it is asked nor fails.
    #[error("the disk under {path} does not answer")]
    NoAnswer {
        /// The directory.
        path: PathBuf,
    },
    /// The disk did not answer in time, and what was asked was under way.
    #[error("the disk does not answer; what was asked for may still be done when it does")]
    Unanswered,
    /// Any other answer of SQLite.
    #[error("SQLite failed")]
    Sqlite(#[source] rusqlite::Error),
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Corrupt(error.to_string())
            }
            _ => Self::Sqlite(error),
        }
    }
}

impl Error {
    /// Whether the disk takes no writes: it is full, read-only, or lets this user not write.
    pub(crate) fn is_of_disk(&self) -> bool {
        use rusqlite::ErrorCode::{
            CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure,
        };
        match self {
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(DiskFull | ReadOnly | CannotOpen | PermissionDenied | SystemIoFailure)
            ),
            Self::Directory { source, .. } => matches!(
                source.kind(),
                ErrorKind::StorageFull
                    | ErrorKind::QuotaExceeded
                    | ErrorKind::ReadOnlyFilesystem
                    | ErrorKind::PermissionDenied
            ),
            _ => false,
        }
    }

    /// Whether a sync failed, after which nobody can say what is on the disk.
    pub(crate) fn is_fsync_failure(&self) -> bool {
        let Self::Sqlite(rusqlite::Error::SqliteFailure(failure, _)) = self else {
            return false;
        };
        [ffi::SQLITE_IOERR_FSYNC, ffi::SQLITE_IOERR_DIR_FSYNC].contains(&failure.extended_code)
    }

    /// What went wrong, in the words of whoever noticed it.
    pub(crate) fn cause(&self) -> String {
        match self {
            Self::Sqlite(source) => source.to_string(),
            other => other.to_string(),
        }
    }

    /// What the owner can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Directory { .. } => {
                Some("check that it exists, is writable, and belongs to this user".into())
            }
            Self::BackupFile { .. } => {
                Some("check the path, and that its folder belongs to whoever runs Keystile".into())
            }
            Self::InUse { .. } => Some("stop it first, or give this one another --data".into()),
            Self::NetworkFileSystem { .. } => {
                Some("give --data a directory on a local disk".into())
            }
            Self::NotKeystile => Some("give --data another directory".into()),
            Self::Newer { .. } => {
                Some("run that version, or `keystile restore` a backup made by this one".into())
            }
            Self::Corrupt(_) => {
                Some("stop every Keystile on it, keep a copy, and restore the latest backup".into())
            }
            Self::NotABackup { .. } => {
                Some("name a file that `keystile backup` wrote; nothing was changed".into())
            }
            Self::Pepper { .. } => {
                Some("copy it back from a backup: `keystile restore` brings it along".into())
            }
            Self::Unavailable => {
                Some("the disk may be full or read-only: the log says more".into())
            }
            Self::Lost { .. } => Some(
                "locks and counted writes may be among them. Put the latest backup in its place: `keystile restore FILE --force`; or go on without them: `keystile accept-loss`"
                    .into(),
            ),
            Self::Gone { .. } => Some(
                "put it back, and writes go on by themselves; or save what the server still has: `keystile backup FILE`"
                    .into(),
            ),
            Self::Foreign(_) => Some(
                "somebody wrote to the file past Keystile. `keystile restore` a backup that you trust, or take it out with SQLite's own tools"
                    .into(),
            ),
            Self::NoAnswer { .. } => Some(
                "it may be frozen (`fsfreeze -u` thaws it), suspended, or broken; see `dmesg`".into(),
            ),
            Self::Unanswered => Some(
                "look whether it was done before you ask again; `keystile status` says how the store is"
                    .into(),
            ),
            Self::Stale(_) => Some("look at it again, and then decide whether to change it".into()),
            Self::Sqlite(_) if self.is_of_disk() => Some(
                "make room on the disk, or make it writable for this user; `df` and `mount` say more".into(),
            ),
            Self::LockedApplication(name) => {
                Some(format!("unlock the application: keystile application unlock {name:?}"))
            }
            Self::Exists(_) | Self::Missing(_) | Self::Conflict(_) | Self::Sqlite(_) => None,
        }
    }
}
