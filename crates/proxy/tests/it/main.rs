//! Tests of the gate as its callers and upstreams meet it: real sockets on both sides, a real store.
//!
//! Each test opens a gate of its own (`harness::TestGate`) in front of an upstream that writes down every
//! request which reached it (`harness::Upstream`). What a test asserts last is usually what the
//! upstream saw, and what the journal says.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod harness;

mod answers;
mod bodies;
mod burst;
mod caller_tls;
mod caps;
mod cost;
mod credential;
mod drain;
mod early_answers;
mod failover;
mod framing;
mod grammar;
mod head;
mod hostile;
mod http2;
mod http2_faults;
mod memory;
mod modes;
mod origins;
mod outcomes;
mod refusals_arrive;
mod reload;
mod room;
mod sending;
mod shared_budgets;
mod slow;
mod streaming;
mod upstream_http2;
mod upstream_tls;
mod websocket;
