//! An account that is driven, against the stand-in.

mod change;
mod drift;
mod follow;
mod hints;
mod lock;
mod look_up;
mod plan;
mod refused;
mod report_peer;
mod setup;
mod take;
mod usage;
