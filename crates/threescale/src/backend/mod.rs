//! The protocol of 3scale's Service Management API, pure: what a gateway asks, and what it is told.
//!
//! # How
//! A query or form is read by [`query`]. An authorization becomes a [`call::Call`] with [`options::Options`];
//! [`decide`] looks up in a [`catalog::Directory`] whom it is about, and decides by the counters that it is
//! given; [`answer`] is what goes back. A [`report`] of calls that were made becomes transactions to count.
//! [`alerts`] says when somebody is to hear of it.
//!
//! # What this protects
//! Clients and gateways of 3scale act on statuses, codes, texts and the order of elements, so those are the
//! reference's, apisonator 3.4, to the letter. Where it is not followed, the place says so and why: broken XML,
//! answers of 500, amounts that are shown and not counted.
//!
//! # Not here
//! Sockets, counters, secrets, and the clock: time is an argument.

mod access;
pub mod alerts;
pub mod answer;
pub mod call;
pub mod catalog;
pub mod decide;
pub mod error;
pub mod limit_headers;
pub mod metrics;
mod multipart;
pub mod options;
pub mod params;
pub mod period;
pub mod query;
mod referrer;
pub mod report;
mod timestamp;
pub mod usage;
pub mod xml;

/// Which version of the reference the contract is: what it says of itself.
pub const VERSION: &str = "3.4.3";

#[cfg(test)]
mod tests;
