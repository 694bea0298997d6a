//! The rules of Keystile, pure: no I/O, no clock, no randomness, no async.
//!
//! A door reads a request's head through [`grammar`] and [`credential`], asks the [`policy`] what
//! API and operation it is for, and asks [`decision::decide`]. What comes back is a permit or a
//! [`refusal::Refusal`]. Where only the body tells what a call costs, [`cost`] counts it. Budgets are
//! counted by [`budget`] for whoever holds the ledger.
//!
//! Not here: where keys are stored, how a write is made durable, what a protocol looks like.

pub mod address;
pub mod api;
pub mod budget;
pub mod channel;
pub mod cost;
pub mod credential;
pub mod decision;
pub mod delivery;
pub mod example_call;
pub mod grammar;
pub mod grouping;
pub mod journal;
pub mod key;
pub mod label;
pub mod lock;
pub mod matrix;
pub mod notice;
pub mod operation;
pub mod policy;
pub mod quiet;
pub mod rate;
pub mod refusal;
pub mod scope;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod template;
pub mod text;
pub mod time;
pub mod watch;
pub mod when;
