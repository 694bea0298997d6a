//! An account that Keystile keeps itself: services, applications and what these have used.
//!
//! # What this protects
//!
//! A call that counts is decided and counted in one step, so no parallelism passes a limit; and what a limit
//! rests on is durable before the call is answered, so no crash gives anything back.
//!
//! # Who does what
//!
//! - [`record`] is what is kept of services and applications, [`change`](self) how it changes: first in the
//!   store, then in memory.
//! - [`catalog`] is the account in memory, [`counters`] what an application has used.
//! - [`gateway`] is what gateways are told of services.
//! - [`log`] keeps events and errors for whoever asks for them.
//!
//! Not here: sockets, and how calls are written down (`server`).

pub mod catalog;
mod change;
mod change_gateway;
mod change_many;
pub mod counters;
mod decide;
pub mod event;
pub mod gateway;
pub mod log;
mod open;
pub mod record;
mod state;
mod write;

pub use self::change::ChangeError;
pub use self::decide::{NotRecorded, Question};
pub use self::state::{Account, WriteRule};
