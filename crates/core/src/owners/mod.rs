//! How owners and programs prove who they are, and for how long that holds.

pub mod owner;
pub mod passkey;
pub mod principal;
pub mod scope;
pub mod secret;
pub mod session;
pub mod sign_in;
pub mod token;
