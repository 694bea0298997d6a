//! The worker: claims deliveries that are due, has them sent, and records the result.
//!
//! # How
//!
//! One loop follows the journal, claims what is due, and starts a task for each delivery. A channel has a
//! few tasks at a time and no more, and a task ends by a deadline, so a dead channel holds up its own
//! deliveries and no others. Nothing of the store is held while something is sent, and nothing here is on
//! the way of a write.

mod attempt;
mod task;

use std::sync::Arc;

use keystile_engine::Engine;

use crate::channel::web_push::vapid::VapidKey;
pub use task::Notifier;

/// Starts a worker that sends on every kind of channel. It belongs to the runtime in which this is called.
pub fn start(engine: Arc<Engine>, vapid: &VapidKey) -> Notifier {
    let sender = attempt::sender(engine.clone(), vapid);
    Notifier::start(engine, sender)
}
