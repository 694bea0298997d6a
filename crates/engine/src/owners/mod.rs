//! Owners and programs: how they come in, and what they may do.

pub mod owner;
pub mod session;
pub mod sign_in;
pub mod token;
