//! The way of a request: authorized, reserved where it writes, settled.

pub mod address_counters;
pub mod authorize;
pub mod refusal_log;
pub mod reserve;
