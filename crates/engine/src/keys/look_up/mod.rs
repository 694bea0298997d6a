//! Looking a key up that is not known here, in a key source that may know it.
//!
//! # What this protects
//!
//! - The source is asked about no more unknown keys in any second than its owner allows, by all callers together,
//!   and about no more than [`AT_ONCE_MAX`] at a time. Whoever comes beyond that is told to come again.
//! - All who call with the same unknown key share one look-up, and it goes on when they leave.
//! - A key that the source does not know is remembered as unknown for a while, by its hash, in bounded memory.
//! - A known key never comes here: neither to the lock of this memory nor to the source.
//!
//! # How
//!
//! The gate's thread leaves a question with [`look_ups::LookUps`] and waits for the answer; the source's own
//! worker, on another thread, takes the questions and carries them out ([`work`]).
//!
//! [`AT_ONCE_MAX`]: look_ups::AT_ONCE_MAX

pub mod answer;
pub mod look_ups;
mod unknown;
mod work;
