//! The store in one SQLite file. Nothing outside of this folder sees a connection or a transaction.

pub(crate) mod audit;
pub(crate) mod connection;
pub(crate) mod documents;
pub(crate) mod files;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod meta;
pub(crate) mod meters;
pub(crate) mod node;
pub(crate) mod notifications;
pub(crate) mod opening;
pub(crate) mod owners;
pub(crate) mod read_only;
pub(crate) mod row;
pub(crate) mod store;
#[cfg(test)]
mod tests;
pub(crate) mod writer;
