//! The use cases of Keystile: the only place where things happen in order.
//!
//! Every door asks [`Engine::admit`] about a request. A key that is unknown here may have to be looked up first, by
//! [`Engine::look_up_key`], before [`Engine::admit_looked_up`] decides. A read may then be sent. A write needs
//! [`Engine::reserve`], which returns once its intent is durable, and ends with
//! [`OpenWrite::settle`]. What owners ask for is a [`command::Command`], carried out by
//! [`Engine::execute`].
//!
//! Not here: sockets and protocols (doors), rules (core), tables (store).

pub mod admission;
pub mod advice;
pub mod audit;
pub mod backup;
pub mod checks;
pub mod command;
mod engine;
pub mod export;
mod finding;
pub mod findings;
pub mod journal;
pub mod keys;
mod maintenance;
pub mod notifications;
pub mod owners;
pub mod policy;
pub mod reload;
pub mod status;

pub use admission::admit::Admission;
pub use admission::identity::{Identity, OpenCall};
pub use admission::permit::{AdmittedRequest, SendGrant};
pub use admission::refused::Refused;
pub use admission::reserve::Reservation;
pub use admission::settle::OpenWrite;
pub use admission::unknown_key::{LookedUp, UnknownKey};
pub use engine::{
    AccountKeeper, Engine, EngineSettings, FromSource, KeySource, Reloader, Reloading, ServerInfo,
};
pub use journal::KeyActivity;
pub use keystile_store::journal::RecordPage;
