//! Of what owners are notified, on which channels, and when.

pub mod channel;
pub mod delivery;
pub mod digest;
pub mod notice;
pub mod plan;
pub mod quiet_hours;
pub mod subscription;
pub mod trigger;
pub mod watch;
