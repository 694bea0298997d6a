//! Backups: one file that holds the whole store.

pub use crate::sqlite::files::backup::{Contents, backup, restore, verify};
