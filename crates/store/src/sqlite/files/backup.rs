//! Backups: one file that holds the whole store, made while it runs, and verified.
//!
//! The file is an SQLite database with the pepper in its `meta` table, because without the pepper no key
//! of the backup could be recognized. Keep it as private as the data directory.

use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::error::{Error, Result};
use crate::sqlite::connection::connect;
use crate::sqlite::files::directory::{self, DataDirectory};
use crate::sqlite::files::schema;
use crate::sqlite::meta;
use crate::store::Store;

/// What a verified backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Keys of any state.
    pub keys: u64,
    /// Records of the journal.
    pub records: u64,
    /// The file's size.
    pub bytes: u64,
}

/// Copies the store, as it is now, into a new file, and verifies the copy.
///
/// # Errors
/// `Exists` when there is such a file; `BackupFile` when it cannot be written; `Pepper` when the pepper in
/// the directory is not the one in use; and when the copy turns out to be damaged.
pub fn backup(store: &Store, to: &Path) -> Result<Contents> {
    if to.exists() {
        return Err(Error::Exists(format!("a file {}", to.display())));
    }
    let partial = to.with_extension("partial");
    let fault = |source| Error::BackupFile { path: to.to_owned(), source };
    remove_if_there(&partial).map_err(fault)?;
    // The file exists with its permissions before anything secret is in it.
    directory::write_private(&partial, &[]).map_err(fault)?;
    let name = partial
        .to_str()
        .ok_or_else(|| Error::Conflict("the file's name is not UTF-8".to_owned()))?;
    store.sqlite().with_reader(|source| Ok(source.execute("VACUUM INTO ?1", [name])?))?;
    let pepper = std::fs::read(store.directory().pepper_file()).map_err(fault)?;
    if !store.directory().has_pepper(store.pepper()) {
        let fault = "not the one in use";
        return Err(Error::Pepper { path: store.directory().pepper_file(), fault });
    }
    let copy = connect(&partial, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    copy.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA synchronous = FULL")?;
    meta::set(&copy, "pepper", &hex(&pepper))?;
    drop(copy);
    let contents = verify(&partial)?;
    std::fs::rename(&partial, to).map_err(fault)?;
    directory::sync_folder(to).map_err(fault)?;
    Ok(contents)
}

/// Checks that a file is a whole backup.
///
/// # Errors
/// When the file cannot be read, is no store, lacks the pepper, or is damaged.
pub fn verify(file: &Path) -> Result<Contents> {
    let fault = |source| Error::BackupFile { path: file.to_owned(), source };
    let bytes = std::fs::metadata(file).map_err(fault)?.len();
    let copy = connect(file, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let sound: String = copy.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if sound != "ok" {
        return Err(Error::Corrupt(sound));
    }
    if schema::version(&copy)? == 0 {
        return Err(Error::NotKeystile);
    }
    schema::verify(&copy)?;
    let pages: i64 = copy.query_row(
        "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size",
        [],
        |row| row.get(0),
    )?;
    if pages.unsigned_abs() != bytes {
        return Err(Error::Corrupt("it is cut off".to_owned()));
    }
    let count = |table| {
        copy.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get::<_, i64>(0))
    };
    for table in ["application", "event", "journal_by_subject"] {
        count(table).map_err(|_| Error::Corrupt(format!("it has no table {table}")))?;
    }
    let contents = Contents {
        keys: count("key")?.unsigned_abs(),
        records: count("journal")?.unsigned_abs(),
        bytes,
    };
    pepper_of(&copy)?;
    Ok(contents)
}

/// What a file holds that is to be restored. What is wrong with it is told of that file: the store is
/// another one, and may be sound.
fn recognized(file: &Path) -> Result<Contents> {
    let not_ours = || "it is not a backup that Keystile wrote".to_owned();
    let of_file = |why| Error::NotABackup { path: file.to_owned(), why };
    let mut start = [0; DATABASE_START.len()];
    let read = std::fs::File::open(file).and_then(|mut file| file.read_exact(&mut start));
    match read {
        Ok(()) if start == *DATABASE_START => {}
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            return Err(of_file(format!("it cannot be read: {error}")));
        }
        Ok(()) | Err(_) => return Err(of_file(not_ours())),
    }
    verify(file).map_err(|error| match error {
        Error::Corrupt(why) => of_file(format!("the backup is damaged: {why}")),
        Error::NotKeystile => of_file(not_ours()),
        other => other,
    })
}

/// With this every SQLite database begins.
const DATABASE_START: &[u8; 16] = b"SQLite format 3\0";

/// Puts a backup into a data directory that has no store, or whose store is to be replaced; the replaced one
/// stays in a folder beside it: `before-restore-1`. The directory is created where it is missing, once it is
/// known that the file is a backup.
///
/// # Errors
/// `NotABackup` when the file is something else or damaged; `InUse` when another process holds the directory;
/// when it cannot be written to.
pub fn restore(data: &Path, file: &Path) -> Result<Contents> {
    let contents = recognized(file)?;
    let directory = &DataDirectory::hold(data)?;
    let database = directory.database();
    let fault = |source| Error::Directory { path: database.clone(), source };
    // While it is there, a directory without a database is not taken for a new one.
    let partial = directory.restoring();
    directory::write_private(&partial, &[]).map_err(fault)?;
    std::fs::copy(file, &partial).map_err(fault)?;
    std::fs::set_permissions(&partial, PermissionsExt::from_mode(0o600)).map_err(fault)?;
    let copy = connect(&partial, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let pepper = pepper_of(&copy)?;
    copy.execute("DELETE FROM meta WHERE name IN ('pepper', 'clock')", [])?;
    // Who signed out since, or was removed, must not be back; whoever was signed in can do that again.
    for table in ["session", "claim"] {
        let is_there = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = ?1)";
        if copy.query_row(is_there, [table], |row| row.get(0))? {
            copy.execute(&format!("DELETE FROM {table}"), [])?;
        }
    }
    drop(copy);
    std::fs::File::open(&partial).and_then(|copy| copy.sync_all()).map_err(fault)?;
    set_aside(directory).map_err(fault)?;
    directory::write_private(&directory.pepper_file(), &pepper).map_err(fault)?;
    std::fs::rename(&partial, &database).map_err(fault)?;
    directory::sync_folder(&database).map_err(fault)?;
    Ok(contents)
}

/// Keeps the replaced store whole in a folder of its own, `before-restore-1`: with its log, where its latest
/// commits may be, and its pepper, without which no key of it could be recognized. It is a data directory
/// like any other. Nothing is ever overwritten, so a restore that was cut off can be repeated.
fn set_aside(directory: &DataDirectory) -> std::io::Result<()> {
    let files = directory.store_files();
    if files.iter().any(|file| file.exists()) {
        let aside = directory::new_folder(directory.path(), "before-restore")?;
        for file in files {
            directory::move_if_there(&file, &aside)?;
        }
        directory::sync_folder(&aside.join("keystile.db"))?;
        directory::sync_folder(&directory.database())?;
    }
    remove_if_there(&directory.database().with_extension("db-shm"))
}

fn pepper_of(copy: &Connection) -> Result<Vec<u8>> {
    let text = meta::read(copy, "pepper")?.ok_or_else(|| {
        Error::Corrupt("it is a store, but not a backup: it has no pepper".to_owned())
    })?;
    unhex(&text).ok_or_else(|| Error::Corrupt("its pepper cannot be read".to_owned()))
}

fn remove_if_there(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    (0..32).map(|place| u8::from_str_radix(&text[place * 2..place * 2 + 2], 16).ok()).collect()
}
