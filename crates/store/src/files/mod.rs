//! The data directory, backups of it, and going on without what it lost.

pub mod backup;
pub mod loss;

pub use crate::sqlite::files::directory::DataDirectory;
