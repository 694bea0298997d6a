//! The data directory: who may use it, what lies in it, and that only one process does.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_core::keys::hash::Pepper;

use crate::error::{Error, Result};
use crate::random::random;

/// A data directory that this process holds.
#[derive(Clone, Debug)]
pub struct DataDirectory {
    path: PathBuf,
    /// Held while the value lives; the system drops it when the process dies.
    lock: Arc<File>,
}

/// File systems whose locks SQLite must not rely on, by the magic number of statfs(2).
const NETWORK_FILE_SYSTEMS: [(u32, &str); 8] = [
    (0x0000_6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x0000_517B, "SMB"),
    (0x0102_1997, "9P"),
    (0x00C3_6400, "Ceph"),
    (0x5346_414F, "AFS"),
    (0x6573_5546, "FUSE"),
];

impl DataDirectory {
    /// Creates the directory where it is missing, and takes it for this process.
    ///
    /// # Errors
    /// `InUse` when another process has it; `NetworkFileSystem` when it is not on a local disk; when it
    /// cannot be created or written to.
    pub fn hold(path: &Path) -> Result<Self> {
        let fault = |source| Error::Directory { path: path.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
        refuse_network(path)?;
        let lock_path = path.join("keystile.lock");
        let lock = match open_private(&lock_path) {
            // A disk that takes no writes can still be read; what is there is held as well as a file.
            Err(error) if error.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                File::open(&lock_path).or_else(|_| File::open(path))
            }
            opened => opened,
        };
        let lock = lock.map_err(|source| Error::Directory { path: lock_path, source })?;
        match lock.try_lock() {
            Ok(()) => {
                remove_partial_files(path);
                Ok(Self { path: path.to_owned(), lock: Arc::new(lock) })
            }
            Err(TryLockError::WouldBlock) => Err(Error::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(fault(source)),
        }
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds the directory, for whoever wants to see whether its disk answers.
    pub(crate) fn lock_file(&self) -> Result<File> {
        self.lock.try_clone().map_err(|source| Error::Directory { path: self.path.clone(), source })
    }

    /// The folder for copies that the console makes, created where it is missing.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn backups(&self) -> Result<PathBuf> {
        let path = self.path.join("backups");
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(Error::Directory { path, source }),
        }
    }

    /// Creates the database file where it is missing, for this user only; SQLite gives the files beside it
    /// the same mode.
    pub(crate) fn create_database(&self) -> Result<()> {
        let path = self.database();
        if path.exists() {
            return Ok(());
        }
        open_private(&path).map(|_| ()).map_err(|source| Error::Directory { path, source })
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.path.join("keystile.db")
    }

    /// The write-ahead log beside it.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("keystile.db-wal")
    }

    /// The file that holds the directory.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.path.join("keystile.lock")
    }

    /// How far commits were acknowledged; see [`crate::sqlite::files::mark`].
    pub(crate) fn mark_file(&self) -> PathBuf {
        self.path.join("keystile.mark")
    }

    /// What a restore puts in the place of the database; there while it is under way or was cut off.
    pub(crate) fn restoring(&self) -> PathBuf {
        self.path.join("keystile.restoring")
    }

    /// All that belongs to one store, in the order in which it can be taken away.
    pub(crate) fn store_files(&self) -> [PathBuf; 4] {
        [self.database(), self.log(), self.mark_file(), self.pepper_file()]
    }

    /// The file with the pepper of the key hashes. It lies beside the database, so that a leaked
    /// database alone does not let anybody test guesses.
    pub fn pepper_file(&self) -> PathBuf {
        self.path.join("pepper")
    }

    /// The file with the latest link for a new owner, for whoever did not see it printed.
    pub fn owner_link_file(&self) -> PathBuf {
        self.path.join("owner-link")
    }

    /// Writes the link for this user only.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_owner_link(&self, link: &str) -> Result<()> {
        let path = self.owner_link_file();
        write_private(&path, format!("{link}\n").as_bytes())
            .map_err(|source| Error::Directory { path, source })
    }

    /// The link that was written last, unless it was removed.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn owner_link(&self) -> Result<Option<String>> {
        let path = self.owner_link_file();
        match std::fs::read_to_string(&path) {
            Ok(link) => Ok(Some(link.trim_end().to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Directory { path, source }),
        }
    }

    /// Removes the link, because it was used or has ended.
    ///
    /// # Errors
    /// When the file is there and cannot be removed.
    pub fn remove_owner_link(&self) -> Result<()> {
        let path = self.owner_link_file();
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Directory { path, source })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Whether the pepper in the directory is the one that is in use, and can be read.
    pub fn has_pepper(&self, pepper: &Pepper) -> bool {
        let read = self.pepper(Freshness::Used);
        read.is_ok_and(|read| pepper_check(&read) == pepper_check(pepper))
    }

    /// The pepper; made anew only for a store that is `fresh`, because another pepper forgets every key.
    pub(crate) fn pepper(&self, store: Freshness) -> Result<Pepper> {
        let path = self.pepper_file();
        let fault = |source| Error::Directory { path: path.clone(), source };
        match File::open(&path) {
            Ok(mut file) => {
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes).map_err(fault)?;
                let bytes =
                    bytes.try_into().map_err(|_| Error::Pepper { path, fault: "damaged" })?;
                Ok(Pepper::new(bytes))
            }
            Err(error)
                if error.kind() == std::io::ErrorKind::NotFound && store == Freshness::New =>
            {
                let bytes = random();
                write_private(&path, &bytes).map_err(fault)?;
                Ok(Pepper::new(bytes))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::Pepper { path, fault: "missing" })
            }
            Err(error) => Err(fault(error)),
        }
    }
}

/// Whether a store has just been created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It has no key and no event yet.
    New,
    /// It may have.
    Used,
}

fn refuse_network(path: &Path) -> Result<()> {
    let status = rustix::fs::statfs(path)
        .map_err(|errno| Error::Directory { path: path.to_owned(), source: errno.into() })?;
    let magic = status.f_type.cast_unsigned() & 0xFFFF_FFFF;
    match NETWORK_FILE_SYSTEMS.iter().find(|(known, _)| u64::from(*known) == magic) {
        Some((_, kind)) => Err(Error::NetworkFileSystem { path: path.to_owned(), kind }),
        None => Ok(()),
    }
}

fn open_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Writes a new file that only this user can read, durably; never half of it under its name. Of several who
/// write one file at once, each writes a whole one, and the last stays.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let partial = partial_of(path);
    let written = write_as(&partial, path, bytes);
    if written.is_err() {
        // Best effort: what was wrong with the file is wrong with its removal, often.
        drop(std::fs::remove_file(&partial));
    }
    written
}

fn write_as(partial: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(partial, path)?;
    sync_folder(path)
}

const PARTIAL: &str = ".partial";

/// What a file is called until it is whole: a name that no other writer of the same file takes.
fn partial_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{:08x}{PARTIAL}", u32::from_ne_bytes(random())));
    PathBuf::from(name)
}

/// Removes what writers left that were cut off. Best effort: whatever stays is never read.
fn remove_partial_files(directory: &Path) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_partial = name.to_str().is_some_and(|name| {
            let whole = ["owner-link.", "pepper.", "keystile.restoring."];
            name.ends_with(PARTIAL) && whole.iter().any(|whole| name.starts_with(whole))
        });
        if is_partial && let Err(error) = std::fs::remove_file(entry.path()) {
            tracing::warn!(file = %entry.path().display(), %error, "a file that was cut off stays");
        }
    }
}

/// By this a store knows the pepper of its keys again; nothing can be tried out with it.
pub(crate) fn pepper_check(pepper: &Pepper) -> String {
    let check = pepper.derived("keystile pepper check").hash(b"check");
    check.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Creates a folder with a number that no other has: `before-restore-1`.
pub(crate) fn new_folder(within: &Path, name: &str) -> std::io::Result<PathBuf> {
    let mut number = 1;
    loop {
        let path = within.join(format!("{name}-{number}"));
        match DirBuilder::new().mode(0o700).create(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
            Ok(()) => {
                sync_folder(&path)?;
                return Ok(path);
            }
        }
    }
}

/// Moves a file into a folder, under its own name.
pub(crate) fn move_if_there(file: &Path, folder: &Path) -> std::io::Result<()> {
    let Some(name) = file.file_name() else { return Ok(()) };
    unless_missing(std::fs::rename(file, folder.join(name)))
}

/// Copies a file into a folder, under its own name.
pub(crate) fn copy_if_there(file: &Path, folder: &Path) -> std::io::Result<()> {
    let Some(name) = file.file_name() else { return Ok(()) };
    unless_missing(std::fs::copy(file, folder.join(name)).map(drop))
}

pub(crate) fn unless_missing(done: std::io::Result<()>) -> std::io::Result<()> {
    match done {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes a new name in a folder durable.
pub(crate) fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder =
        file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
