//! The way of a request, for every door: admitted, reserved where it writes, settled.

pub(crate) mod address_counters;
pub mod admit;
pub mod body;
pub mod caller;
mod decide;
pub mod held;
pub(crate) mod held_reservations;
mod identify;
pub mod identity;
pub mod permit;
pub(crate) mod refusal_log;
pub mod refused;
pub mod relayed;
pub mod reserve;
pub mod sent_read;
pub mod settle;
pub mod unknown_key;
