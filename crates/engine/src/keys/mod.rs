//! Applications and keys: what owners see of them and do with them.

pub mod application;
pub mod application_edit;
pub(crate) mod budget_warnings;
pub mod create;
pub mod edit;
pub mod key;
pub mod lock;
