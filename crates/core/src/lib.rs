//! The rules of Keystile, pure: no I/O, no clock, no randomness, no async.
//!
//! A door reads a request head through [`grammar`] and [`credential`], looks up what the policy says of
//! its operation ([`operation`], [`policy`]), and asks [`decision::decide`]. What comes back is a
//! permit or a [`refusal::Refusal`]. Budgets are counted by [`budget`], for whoever holds the ledger.
//!
//! Not here: where keys are stored, how a write is made durable, what a protocol looks like.

pub mod refusal;
pub mod lock;
pub mod time;
pub mod budget;
pub mod template;
