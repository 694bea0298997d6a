//! Driving an account: 3scale stays in charge of keys and plans, and Keystile stands in front.
//!
//! # Who does what
//! - [`DrivenAccount`] is one service of one tenant, as the engine's [`KeySource`].
//! - [`link::Link`] is what is kept of an application that was brought over: which application and keys it is
//!   here, and what was last seen there. It is kept as a document of the store, and in memory.
//! - [`compare`] says, without asking anybody, what an application there asks for here.
//! - [`synchronize`] reads the portal and carries that out, [`step`] by step, with commands of its own
//!   principal.
//! - [`lock`] has a lock here followed there: the application is suspended, or put on another plan, and that is undone
//!   when the lock is gone ([`measure`]).
//! - [`difference`] says what a synchronization leaves as it is because an owner has to decide it, [`drift`]
//!   finds and keeps that, and [`take`] carries out what an owner decided.
//! - [`look_up`] asks for one key that is unknown here, when somebody calls with it.
//! - [`usage`] tells 3scale what its applications use here.
//! - A [`webhook`] says that something changed there, as a [`hint`] to look at it, which [`hinted`] does.
//! - [`worker`] does all of it by itself.
//!
//! # What this protects
//! - Every step can be repeated. A key that was imported before a crash, and is not in any link yet, is found
//!   by its text and taken for what it is.
//! - Only what the account did is undone by it: an application that an owner suspended here stays so, a lock
//!   that Keystile made stays so, and a suspension there that Keystile did not ask for stays so.
//! - Nothing is lost by a crash: what is asked of 3scale follows from the locks in the store, and a link says
//!   how far that is.
//!
//! # Not here
//! What the portal's answers mean ([`crate::portal`]), and anything on the way of a request.
//!
//! [`KeySource`]: keystile_engine::KeySource

mod access;
mod account;
mod check;
mod compare;
mod difference;
mod drift;
mod hint;
mod hinted;
mod inherit;
mod link;
mod lock;
mod lock_words;
mod look_up;
mod measure;
mod name;
mod plan;
mod report;
pub mod settings;
mod step;
mod synchronize;
mod take;
pub mod usage;
mod webhook;
mod webhook_secret;
pub mod worker;

pub use account::DrivenAccount;
