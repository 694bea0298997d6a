//! The backend over real sockets, on a real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod bounds;
mod changes;
mod contract;
mod drive;
mod faults;
mod fixture;
mod gateways;
mod import;
mod internal;
mod policy;
mod reads;
mod secrets;
mod setup;
mod tls;
mod webhooks;
mod writes;
