//! Applications and keys: what owners see of them and do with them.

pub(crate) mod application;
pub(crate) mod budget_warnings;
pub(crate) mod key;
pub mod version;
pub(crate) mod view;
