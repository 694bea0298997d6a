//! Of what owners are notified, what is sent, and what they can do from a message.

pub mod action_link;
pub mod delivery;
pub mod device;
pub mod digest_stop;
pub mod notify;
pub(crate) mod refusal_burst;
pub(crate) mod signed;
pub(crate) mod store_health;
