//! What owners are told of, on which channels, and when.

pub mod channel;
pub mod delivery;
pub mod grouping;
pub mod notice;
pub mod quiet_hours;
pub mod watch;
