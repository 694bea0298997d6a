//! The store in one SQLite file. Nothing outside of this folder sees a connection or a transaction.

pub mod audit;
pub mod files;
pub mod journal;
pub mod keys;
pub mod ledger;
pub mod notifications;
pub mod owners;
pub mod writer;
