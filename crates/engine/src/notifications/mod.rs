//! Of what owners are notified, what is sent, and what they can do from a message.

pub mod action_link;
pub(crate) mod claimed;
pub mod delivery;
pub mod device;
pub mod digest_stop;
pub(crate) mod hourly;
pub mod notify;
pub(crate) mod refusal_burst;
pub(crate) mod refused_links;
pub(crate) mod signed;
mod storage_failure;
pub(crate) mod store_health;
