//! Links in messages: what they show, and what they do.

pub(crate) mod action;
pub(crate) mod stop;
