//! Of what owners are notified, what is sent, and what they can do from a message.

pub mod action_link;
mod claim;
pub mod claimed;
pub mod delivery;
pub mod device;
pub(crate) mod hourly;
pub(crate) mod link_token;
pub mod outbox;
pub(crate) mod refusal_burst;
pub(crate) mod refused_links;
pub mod stop_digests;
mod storage_failure;
pub(crate) mod store_health;
