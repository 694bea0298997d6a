//! The durable side of Keystile: applications, keys, the ledger, the journal and events, in SQLite.
//!
//! # What this protects
//!
//! One transaction checks a key's lock, takes a write's cost from its budgets and records its intent,
//! and it is durable before anything is sent (promises P1, P2, P3). Everything that changes goes
//! through one writer thread ([`sqlite::writer`]); everything that is read is read beside it.
//!
//! # Who does what
//!
//! - [`Store`] is the handle that everyone shares, with typed operations by noun; the rows that they speak
//!   of are in a file of the noun ([`owners::tokens`], [`reservation`]).
//! - [`key_cache`] is what requests are looked up in, [`completion_queue`] how a core gets its answers,
//!   [`departure`] and [`clock`] say when something happened, [`sent`] counts what went out, where
//!   somebody is told of it.
//! - [`doors`] is what a door keeps in its own words: meters that it decides on in memory, and documents.
//! - [`sqlite`] keeps the rows. `writer` commits in groups, `ledger` counts budgets, `journal` keeps records and
//!   finds them again, `audit` chains events, `files` looks after the data directory.
//!
//! Not here: what a plan allows (core), when something is asked of the store (engine).

pub mod applications;
pub mod audit;
pub mod clock;
pub mod completion_queue;
pub mod deliveries;
pub mod departure;
pub mod doors;
pub mod error;
pub mod files;
pub mod journal;
pub mod key_cache;
pub mod key_origin;
pub mod keys;
pub mod owners;
mod random;
pub mod reservation;
pub mod sent;
mod sqlite;
mod store;

pub use self::random::random;
pub use self::reservation::BudgetStanding;
pub use self::sqlite::connection::check;

pub use self::store::{Opened, Store};
