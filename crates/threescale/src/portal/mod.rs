//! A client for 3scale's Account Management API, which the admin portal of a tenant serves.
//!
//! # What this protects
//! - The access token goes out in an `Authorization` field and nowhere else: in no URL, so in no log, and in
//!   no message, whatever the portal says ([`quote`]).
//! - It goes to the address that the owner wrote and to no other: redirects are not followed, the address is
//!   `https` unless it is this machine's, and no proxy is taken from the environment.
//! - A portal that hangs, floods or is none costs one bounded call ([`transport`]).
//!
//! # How
//! A call is one request on a connection of its own, HTTP/1.1 over TLS. Calls are few: an import reads up to
//! [`page::PER_PAGE`] records with each, a lock makes two. Each operation can be repeated: changes look at
//! the application first and ask only for what is not so yet. [`error::PortalError::retry_after`] says
//! whether a repeat makes sense.
//!
//! A list is read page by page while others change it, so that a record may be missed or come twice. Who
//! imports does it again.
//!
//! # Not here
//! When to repeat, what a suspension means for a key, and where settings come from. The portal is often on
//! the owner's own network, so its address is not held to be a public one.

pub mod address;
mod answer;
mod changes;
mod client;
mod document;
pub mod error;
pub mod page;
pub(crate) mod place;
pub mod quote;
pub mod records;
pub mod settings;
pub(crate) mod token;
pub(crate) mod transport;

pub use changes::{Change, Transition};
pub use client::{ApplicationReference, PortalClient};
