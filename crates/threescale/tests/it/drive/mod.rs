//! An account that is driven, against the stand-in.

mod drift;
mod follow;
mod lock;
mod look_up;
mod plan;
mod refused;
mod report_peer;
mod setup;
mod take;
mod usage;
