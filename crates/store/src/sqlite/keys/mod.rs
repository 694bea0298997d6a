//! Applications and keys: in tables, and in the memory that requests are looked up in.

pub(crate) mod application_edit;
pub(crate) mod change;
pub(crate) mod key;
pub(crate) mod key_edit;
pub(crate) mod key_list;
pub(crate) mod lock;
