//! The backend over real sockets, on a real store.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod backend;
mod contract;
mod fixture;
mod internal;
mod policy;
