//! The write-ahead log as it lies on the disk, looked at before SQLite opens it.
//!
//! # What this protects
//!
//! SQLite reads its log up to the first frame that does not fit and drops the rest without a word. After a
//! crash that rest is a commit that nobody was answered. After damage it is everything that was
//! acknowledged since: locks among it. Here the two are told apart.
//!
//! # How
//!
//! Each frame carries the salts of its generation and a check sum over all frames before it. A transaction is
//! written only after the one before it was synced. So behind the first frame that does not fit there is at
//! most one commit of this generation that was never synced; a second one proves that the first was, and
//! that it was acknowledged. Of damage to the last commit itself the log tells nothing: see [`crate::sqlite::files::mark`].
//! The format is described in "WAL-mode File Format" of SQLite's documentation.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;

const HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// With its last bit the check sums are over big-endian words.
const MAGIC: u32 = 0x377F_0682;
const FORMAT: u32 = 3_007_000;

/// What a log begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// There is no log, or nothing was ever written to it.
    None,
    /// It is not what SQLite wrote.
    Damaged,
    /// The salts of its generation.
    Whole(u64),
}

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) header: Header,
    /// The number of the last frame up to which everything fits and is committed.
    pub(crate) committed: u32,
    /// Frames of this generation behind it, which SQLite drops.
    pub(crate) dropped: u32,
    /// How many of them ended a transaction, as far as can be seen.
    pub(crate) commits_dropped: u32,
}

impl Scan {
    const NOTHING: Self =
        Self { header: Header::None, committed: 0, dropped: 0, commits_dropped: 0 };

    /// Whether the log itself shows that commits are missing that were acknowledged.
    pub(crate) fn proves_loss(&self) -> bool {
        self.header == Header::Damaged || self.commits_dropped > 1
    }
}

fn word(bytes: &[u8], place: usize) -> u32 {
    u32::from_be_bytes([bytes[place], bytes[place + 1], bytes[place + 2], bytes[place + 3]])
}

/// The salts in a header of the log or of a frame.
pub(crate) fn salts(bytes: &[u8], place: usize) -> u64 {
    u64::from(word(bytes, place)) << 32 | u64::from(word(bytes, place + 4))
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Sum(u32, u32);

impl Sum {
    fn over(self, bytes: &[u8], is_big_endian: bool) -> Self {
        let Self(mut one, mut two) = self;
        let read = if is_big_endian { u32::from_be_bytes } else { u32::from_le_bytes };
        for pair in bytes.chunks_exact(8) {
            one = one.wrapping_add(read([pair[0], pair[1], pair[2], pair[3]])).wrapping_add(two);
            two = two.wrapping_add(read([pair[4], pair[5], pair[6], pair[7]])).wrapping_add(one);
        }
        Self(one, two)
    }

    fn at(bytes: &[u8], place: usize) -> Self {
        Self(word(bytes, place), word(bytes, place + 4))
    }
}

/// Looks through the log at a path.
pub(crate) fn scan(path: &Path) -> std::io::Result<Scan> {
    match File::open(path) {
        Ok(file) => scan_of(BufReader::with_capacity(1 << 18, file)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Scan::NOTHING),
        Err(error) => Err(error),
    }
}

fn scan_of(mut log: impl Read) -> std::io::Result<Scan> {
    let mut header = [0; HEADER_BYTES];
    if !fill(&mut log, &mut header)? || header == [0; HEADER_BYTES] {
        return Ok(Scan::NOTHING);
    }
    let magic = word(&header, 0);
    let is_big_endian = magic & 1 == 1;
    let page_bytes = word(&header, 8);
    let mut sum = Sum(0, 0).over(&header[..24], is_big_endian);
    let is_whole = magic & !1 == MAGIC
        && word(&header, 4) == FORMAT
        && page_bytes.is_power_of_two()
        && (512..=65_536).contains(&page_bytes)
        && sum == Sum::at(&header, 24);
    if !is_whole {
        return Ok(Scan { header: Header::Damaged, ..Scan::NOTHING });
    }
    let generation = salts(&header, 16);
    let mut found = Scan { header: Header::Whole(generation), ..Scan::NOTHING };
    let mut frame = vec![0; FRAME_HEADER_BYTES + page_bytes as usize];
    let (mut number, mut fits) = (0, true);
    while fill(&mut log, &mut frame)? {
        number += 1;
        let is_of_generation = salts(&frame, 8) == generation;
        let is_commit = word(&frame, 4) != 0;
        if fits {
            sum = sum.over(&frame[..8], is_big_endian);
            sum = sum.over(&frame[FRAME_HEADER_BYTES..], is_big_endian);
            fits = is_of_generation && word(&frame, 0) != 0 && sum == Sum::at(&frame, 16);
        }
        if fits && is_commit {
            found.committed = number;
            found.dropped = 0;
        } else if is_of_generation {
            found.dropped += 1;
            found.commits_dropped += u32::from(is_commit);
        }
    }
    Ok(found)
}

/// Fills the bytes; says whether there were enough.
fn fill(log: &mut impl Read, bytes: &mut [u8]) -> std::io::Result<bool> {
    match log.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
