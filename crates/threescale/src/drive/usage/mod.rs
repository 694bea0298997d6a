//! Telling 3scale what the applications of an account use.
//!
//! # Who does what
//! - [`mapping`] says what a call counts as there.
//! - [`collect`] counts calls that went out: writes from the journal, reads from memory. They wait as one sum for
//!   each application, metric and hour, so an outage costs no more room than its hours.
//! - [`send`] sends them in reports ([`batch`]), each of which counts once.
//! - [`record`] is what is kept of all that, [`kept`] and [`store`] keep it in memory as in the store.
//!
//! # What this protects
//! - No call counts twice there, whatever crashes and whatever answer is lost. A call that may not count there is
//!   shown as missing.
//! - Nothing on the way of a call waits for any of it.
//!
//! # Not here
//! The protocol ([`crate::reports`]).

mod batch;
mod collect;
mod findings;
mod kept;
pub mod mapping;
mod record;
pub(super) mod reports;
mod send;
mod store;
mod worker;
