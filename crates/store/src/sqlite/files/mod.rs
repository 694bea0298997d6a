//! What lies in the data directory: the database with its log, the mark beside it, backups, and who may use them.

pub(crate) mod backup;
pub(crate) mod directory;
pub(crate) mod exposure;
pub(crate) mod loss;
pub(crate) mod mark;
pub(crate) mod pepper;
pub(crate) mod present;
pub(crate) mod schema;
pub(crate) mod wal;
