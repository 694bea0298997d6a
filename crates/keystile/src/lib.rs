//! The program: configuration, wiring and subcommands.
//!
//! [`config`] reads the owner's file, [`server`] starts what it describes, [`cli`] parses and prints,
//! [`control`] and [`local`] carry a command to the server, or to the store when none runs; [`exchange`] is what
//! they and the server write to each other.

mod account;
mod backend;
pub mod cli;
pub mod config;
mod console;
pub mod control;
pub mod demo;
pub mod exchange;
mod key_sources;
pub mod local;
pub mod log;
pub mod probe;
pub mod reach;
pub mod run;
pub mod server;
