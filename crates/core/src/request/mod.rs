//! What is read of a request before any policy: its head, its credential, the address of its caller.

pub mod address;
pub mod call_method;
pub mod credential;
pub mod grammar;
pub mod head;
