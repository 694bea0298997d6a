//! Tests of the use cases on a real store, as the console and the admin API call them.

#![expect(clippy::unwrap_used, reason = "a test ends at the first thing that goes wrong")]

mod admission;
mod burst;
mod compile_fail;
mod counted_body;
mod hostile_head;
mod import;
mod lock;
mod notifications;
mod owner;
mod rate;
mod session;
mod shared_lock;
mod test_engine;
mod token;
