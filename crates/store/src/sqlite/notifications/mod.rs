//! Notifications: planned with the event, kept until they are delivered, and the result of each attempt.

pub(crate) mod action;
pub(crate) mod attempt;
pub(crate) mod budget_level;
pub mod digest_stop;
pub mod follow;
pub(crate) mod notice;
pub mod outbox;
pub(crate) mod record;
pub mod subscription;
pub(crate) mod vapid;
pub(crate) mod window;
