//! Applications and keys: in tables, and in the memory that requests are looked up in.

pub(crate) mod application;
mod application_change;
pub(crate) mod application_edit;
pub(crate) mod application_lock;
pub(crate) mod key;
mod key_change;
pub(crate) mod key_edit;
pub(crate) mod key_list;
pub(crate) mod lock;
pub(crate) mod source_change;
mod stored_lock;
