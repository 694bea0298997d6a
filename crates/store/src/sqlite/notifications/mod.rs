//! Notifications: planned with the event, kept until they are delivered, and the result of each attempt.

pub(crate) mod action;
pub(crate) mod attempt;
pub(crate) mod budget_level;
pub(crate) mod digest;
pub(crate) mod follow;
pub(crate) mod notice;
pub(crate) mod outbox;
pub(crate) mod record_event;
pub(crate) mod stop_digests;
pub(crate) mod subscription;
pub(crate) mod vapid;
pub(crate) mod window;
