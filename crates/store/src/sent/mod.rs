//! Calls that went out, for those who are told of them.

pub mod reads;
pub mod writes;
