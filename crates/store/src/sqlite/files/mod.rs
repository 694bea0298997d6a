//! What lies in the data directory: the database with its log, the mark beside it, backups, and who may use them.

pub mod backup;
pub mod directory;
pub(crate) mod exposure;
pub mod loss;
pub(crate) mod mark;
pub(crate) mod pepper;
pub(crate) mod present;
pub(crate) mod schema;
pub(crate) mod wal;
