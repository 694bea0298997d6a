//! The journal: its rows, what follows from them, and how they are listed.

pub(crate) mod activity;
pub(crate) mod facet;
pub(crate) mod facet_index;
pub(crate) mod facet_search;
pub(crate) mod hour;
pub(crate) mod listing;
pub(crate) mod named;
pub(crate) mod order;
pub(crate) mod query;
pub(crate) mod record;
pub(crate) mod retention;
pub(crate) mod sent;
pub(crate) mod subject;
pub(crate) mod subject_index;
