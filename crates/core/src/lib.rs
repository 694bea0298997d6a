//! The rules of Keystile, pure: no I/O, no clock, no randomness, no async.
//!
//! A door reads a request's head through [`request::grammar`] and [`request::credential`], asks the [`policy`] what
//! API and operation it is for, and asks [`decision::decide`]. What comes back is a permit or a
//! [`refusal::Refusal`]. Where only the body tells what a call costs, [`cost`] counts it. Budgets are
//! counted by [`budget`] for whoever holds the ledger.
//!
//! Not here: where keys are stored, how a write is made durable, what a protocol looks like.

pub mod actor;
pub mod audit;
pub mod budget;
pub mod cost;
pub mod decision;
pub mod id;
pub mod journal;
pub mod keys;
pub mod label;
pub mod notifications;
pub mod owners;
pub mod policy;
pub mod problem;
pub mod rate;
pub mod refusal;
pub mod request;
pub mod reservation;
pub mod text;
pub mod time;
pub mod version;
