//! Owners and programs: how they come in, and what they may do.

pub(crate) mod attempts;
pub mod claim;
pub mod owner;
pub mod passkey;
pub mod password;
pub mod recovery;
mod secret;
pub mod session;
pub mod sign_in;
pub mod token;
