//! What is to be told: found, kept until it is delivered, and what came of each attempt.

pub(crate) mod action;
pub(crate) mod attempt;
pub mod digest_stop;
pub mod follow;
pub mod outbox;
pub mod subscription;
pub(crate) mod tell;
pub(crate) mod vapid;
