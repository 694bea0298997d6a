//! The admin API: everything that the console can do, as JSON.

pub(crate) mod events;
