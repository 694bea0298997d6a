//! Applications and keys: what owners see of them and do with them.

pub mod account;
pub mod account_command;
pub mod application;
pub mod application_edit;
pub mod application_lock;
pub mod budget_warnings;
pub mod create;
pub mod difference;
pub mod edit;
pub(crate) mod fullest_budgets;
pub mod hint;
pub mod import;
pub mod key;
pub mod lock;
pub mod look_up;
pub mod shared_budgets;
pub mod source;
pub mod source_change;
pub mod source_command;
pub mod source_finding;
