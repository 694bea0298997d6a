//! The writer: one thread that owns the only writing connection and commits in groups.
//!
//! # How
//!
//! Messages wait in a queue while a commit is under way; the next transaction takes all of them, up to a
//! bound, and its one fsync makes them all durable. Only then are answers given and shared entries
//! changed. When writes come fast the writer waits a moment for more of them, because a group of ten
//! costs little more than a single write; a lone write never waits.
//!
//! # When a commit fails
//!
//! A full or read-only disk: the transaction is rolled back, everyone in it hears that the store is
//! unavailable, what was counted in memory is forgotten and counted anew, and settlements are kept
//! for the next try. A failed fsync ends the process, because nobody can say any more what is on
//! the disk; on restart it is read from there.

pub(crate) mod checkpoint;
mod commit;
mod group;
pub(crate) mod handle;
pub(crate) mod health;
mod maintenance;
pub(crate) mod message;
pub(crate) mod readers;
pub(crate) mod shared;
pub(crate) mod thread;
pub(crate) mod write_tx;
