//! An account that is driven, against the stand-in.

mod drift;
mod follow;
mod lock;
mod plan;
mod refused;
mod setup;
mod take;
