//! Owners and programs: what they sign in with.

pub mod owner;
pub mod session;
pub mod token;
