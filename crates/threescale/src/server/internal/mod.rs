//! The internal API: how 3scale's portal tells a backend of services, applications, metrics and limits, and
//! takes events and errors from it.
//!
//! # How
//! [`route`] is the list of its paths; [`access`] stands before them. A request becomes a [`call::Call`] with
//! typed [`fields`], and each noun has a file that answers in [`json`].
//!
//! # What this protects
//! Statuses and bodies are those of the reference, apisonator 3.4, whose client is pisoni. Where the reference
//! fails with 500 or keeps what makes no sense, the answer is 400 and names the place.
//!
//! Keys, tokens and provider keys are kept as hashes. So what would show one shows `null` in its place, except
//! in the answer to the request that sent it or had it made.
//!
//! # Not here
//! What 3scale itself serves to its developers only: making events and errors.

pub(super) mod access;
mod alert_limits;
mod applications;
mod batch;
mod call;
mod events;
mod fields;
mod integration_errors;
mod json;
mod keys;
mod metrics;
mod referrer_filters;
pub(super) mod route;
mod service_tokens;
mod services;
mod usage_limits;
mod utilization;
