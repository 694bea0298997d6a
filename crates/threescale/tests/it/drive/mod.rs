//! An account that is driven, against the stand-in.

mod follow;
mod lock;
mod plan;
mod refused;
mod setup;
