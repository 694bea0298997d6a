//! The way of a request, for every door: admitted, reserved where it writes, settled.

pub(crate) mod address_counters;
pub mod admit;
mod authorize;
pub mod body;
pub mod caller;
pub mod held;
pub(crate) mod held_reservations;
pub mod identity;
pub mod permit;
pub(crate) mod refusal_log;
pub mod refused;
pub mod reserve;
