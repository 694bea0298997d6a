//! Applications and keys: in tables, and in the memory that requests are looked up in.

pub(crate) mod application_edit;
pub mod change;
pub mod key;
pub(crate) mod key_edit;
pub(crate) mod key_list;
pub(crate) mod lock;

pub use crate::key_cache;
