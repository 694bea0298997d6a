//! Applications and keys: in tables, and in the memory that requests are looked up in.

pub mod change;
pub mod key;
pub(crate) mod lock;

pub use crate::key_cache;
