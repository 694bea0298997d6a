//! The store in one SQLite file. Nothing outside of this folder sees a connection or a transaction.

pub mod audit;
pub(crate) mod connection;
pub mod files;
pub mod journal;
pub mod keys;
pub mod ledger;
pub(crate) mod meta;
pub(crate) mod node;
pub mod notifications;
pub(crate) mod opening;
pub mod owners;
pub(crate) mod read_only;
pub(crate) mod row;
pub(crate) mod store;
pub mod writer;
