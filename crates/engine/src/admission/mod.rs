//! The way of a request, for every door: admitted, reserved where it writes, settled.

pub mod address_counters;
pub mod admit;
pub mod body;
pub mod caller;
pub mod held;
pub mod identity;
pub mod permit;
pub mod refusal_log;
pub mod refused;
pub mod reserve;
