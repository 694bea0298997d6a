//! The high-water mark: how far commits were acknowledged, kept outside of what could lose them.
//!
//! # What this protects
//!
//! Damage to the end of the write-ahead log, or another database in the place of the one that was there,
//! leaves a store that is whole and too short; locks and debits are gone, and nothing in it tells. The
//! mark tells. It is written after a commit was synced and before anybody hears of it, so whatever was
//! acknowledged is below it.
//!
//! # What it costs, and what it cannot show
//!
//! One small write to a file whose place on the disk is there already, and no sync. It survives the end of
//! the process. When the power fails an earlier mark may be on the disk, which then shows less; never one
//! that is ahead of the log, because that was synced first. So it raises no false alarm.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::sqlite::files::wal;

/// The file's whole length; it fits into one sector, so there is never half of it.
const BYTES: usize = 128;

/// How far commits were acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The generation of the log, 0 where all of it had been brought into the database.
    pub(crate) salts: u64,
    /// How many frames of it.
    pub(crate) frames: u32,
    /// The last record of the journal.
    pub(crate) record: i64,
    /// How many events the audit had.
    pub(crate) events: i64,
}

impl Mark {
    fn text(&self) -> String {
        let Self { salts, frames, record, events } = self;
        let said = format!("keystile acknowledged {salts:016x} {frames} {record} {events}");
        let sum = sum_of(&said);
        format!("{:<width$}\n", format!("{said} {sum:016x}"), width = BYTES - 1)
    }

    fn parse(text: &str) -> Option<Self> {
        let (said, sum) = text.trim_end().rsplit_once(' ')?;
        if u64::from_str_radix(sum, 16).ok()? != sum_of(said) {
            return None;
        }
        let mut parts = said.strip_prefix("keystile acknowledged ")?.split(' ');
        Some(Self {
            salts: u64::from_str_radix(parts.next()?, 16).ok()?,
            frames: parts.next()?.parse().ok()?,
            record: parts.next()?.parse().ok()?,
            events: parts.next()?.parse().ok()?,
        })
    }

    /// The mark of a store; none where it never had one, or where it cannot be read.
    pub(crate) fn read(path: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(path).ok()?;
        let mark = Self::parse(&text);
        if mark.is_none() && !text.is_empty() {
            tracing::warn!(path = %path.display(), "the high-water mark cannot be read, so nothing is compared with it");
        }
        mark
    }
}

/// FNV-1a: a flipped bit must not make a mark that was never written.
fn sum_of(text: &str) -> u64 {
    text.bytes().fold(0xCBF2_9CE4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3)
    })
}

/// The mark of a store that runs.
#[derive(Debug)]
pub(crate) struct MarkFile {
    file: File,
    log_path: PathBuf,
    log: Option<File>,
    written: Mark,
}

impl MarkFile {
    /// Opens the file, and writes down where the store stands.
    pub(crate) fn open(path: &Path, log_path: PathBuf, mark: Mark) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).mode(0o600).open(path)?;
        file.write_all_at(mark.text().as_bytes(), 0)?;
        file.sync_all()?;
        Ok(Self { file, log_path, log: None, written: mark })
    }

    /// Notes a commit that is durable, before anybody hears of it.
    pub(crate) fn note(&mut self, frames: u32, record: i64, events: i64) {
        let salts = self.salts().unwrap_or_default();
        let frames = if salts == 0 { 0 } else { frames };
        self.write(Mark { salts, frames, record, events });
    }

    fn salts(&mut self) -> Option<u64> {
        if self.log.is_none() {
            self.log = File::open(&self.log_path).ok();
        }
        let mut salts = [0; 8];
        self.log.as_ref()?.read_exact_at(&mut salts, 16).ok()?;
        Some(wal::salts(&salts, 0))
    }

    fn write(&mut self, mark: Mark) {
        if mark == self.written {
            return;
        }
        match self.file.write_all_at(mark.text().as_bytes(), 0) {
            Ok(()) => self.written = mark,
            // The commit is durable all the same; the mark before it shows less.
            Err(error) => tracing::debug!(%error, "the high-water mark could not be written"),
        }
    }

    /// The log may now go: what is in it is in the database, or about to be. Durable, because the log's end
    /// will be; were this lost with the power, the next start would miss the log.
    pub(crate) fn let_go_of_log(&mut self) {
        self.write(Mark { salts: 0, frames: 0, ..self.written });
        if let Err(error) = self.file.sync_all() {
            tracing::debug!(%error, "the high-water mark could not be synced");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written_and_no_single_bit_makes_another() {
        let mark = Mark { salts: 0x00AB_CDEF_0123_4567, frames: 61, record: 1_000_000, events: 77 };
        let text = mark.text();
        assert_eq!((text.len(), Mark::parse(&text)), (BYTES, Some(mark)));
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let read = String::from_utf8(bytes).ok().and_then(|text| Mark::parse(&text));
            assert!(read.is_none_or(|read| read == mark), "bit {bit}");
        }
    }
}
