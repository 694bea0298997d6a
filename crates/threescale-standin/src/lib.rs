//! A stand-in for 3scale's admin portal, for tests: its Account Management API over real sockets.
//!
//! It answers as the portal's published sources do: the same paths, JSON shapes, statuses and words of
//! refusal, the same pages, and the same states of an application. A test fills a [`tenant::Tenant`],
//! starts a [`Portal`], and may have it fail in the ways of a network or of a broken portal
//! ([`fault::Fault`]).
//!
//! # Not here
//! - What Keystile does not ask for: making and deleting things, e-mail, billing, members' rights on single
//!   services, plan customization, the developer portal, and answers in XML.
//! - The job queue: a change acts at once, while 3scale's backend learns of it later.
//! - Web hooks by themselves: a test says when one is sent ([`webhook`]), and there are no repeats.
//! - Conditional requests, and rate limits, which stand before the portal and not in it.
//! - Times: every record was made and changed at the same moment.

pub mod fault;
mod page;
pub mod portal;
mod render;
mod request;
mod route;
pub mod tenant;
mod token;
pub mod webhook;

pub use portal::Portal;
