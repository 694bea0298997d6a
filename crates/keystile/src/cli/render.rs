//! Answers for people: listings and details that fit the terminal.
//!
//! Every cell goes through [`listing::Cell`], which makes text from outside safe to show, so no renderer
//! can forget it. Color only ever repeats what a word says.

mod application;
mod delivery;
mod event;
mod key;
mod listing;
mod owner;
mod record;
mod status;
#[cfg(test)]
mod tests;

pub(super) use application::{application, applications};
pub(super) use delivery::{channels, deliveries, delivery};
pub(super) use event::{audit, events};
pub(super) use key::{key, keys};
pub(super) use owner::{owners, tokens};
pub(super) use record::{follow_line, record, records};
pub(super) use status::{findings, status};
