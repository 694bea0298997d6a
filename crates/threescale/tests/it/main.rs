//! The client of the portal against the stand-in, over real sockets with TLS.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod changes;
mod faults;
mod reads;
mod secrets;
mod setup;
mod tls;
mod webhooks;
