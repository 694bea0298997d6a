//! A client for reports: `POST /transactions.xml` of 3scale's Service Management API.
//!
//! # What this protects
//! - A report counts there or it does not, and [`error::ReportError::proof`] says which of that is proven.
//!   Whoever reports sends nothing again that is not proven to be uncounted.
//! - The service token goes into the body of a request and nowhere else, and keys neither: no URL, so no log,
//!   and no message.
//!
//! # How
//! A report is answered with 202 before it is looked at: what is wrong with its applications, metrics and times
//! goes to the list of the service's integration errors, and one such error voids the whole report. So
//! [`ReportClient::probe`] looks first whether reports are taken at all, with one that holds nothing.
//!
//! # Not here
//! What is reported and when.

mod client;
pub mod error;
mod form;

pub(crate) use client::ReportClient;
pub(crate) use form::{Reference, Transaction, fits};
