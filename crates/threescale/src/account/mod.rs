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
//! - [`mirror`] says which of its applications are applications of Keystile as well, [`commit`](self) keeps a change
//!   with what follows of it here, and [`difference`] says what the audit tells of it.
//! - [`catalog`] is the account in memory, [`view`] how a call sees it, [`counters`] what an application has used.
//! - [`gateway`] is what gateways are told of services.
//! - [`log`] keeps events and errors for whoever asks for them, and [`durable`](self) tells of them once they are durable.
//!
//! Not here: sockets, and how calls are written down (`server`).

pub mod catalog;
mod change;
mod change_gateway;
mod change_many;
mod commit;
pub mod counters;
mod decide;
mod difference;
mod durable;
pub mod event;
pub mod gateway;
pub mod log;
mod mirror;
mod open;
pub mod record;
mod state;
mod view;
mod write;

pub use self::change::ChangeError;
pub use self::commit::own_principal;
pub(crate) use self::commit::portal_principal;
pub use self::decide::{NotRecorded, Question};
pub use self::mirror::{MirrorRule, ORIGIN};
pub use self::state::{Account, WriteRule};
