//! 3scale's protocols, for gateways and accounts that speak them.

pub mod account;
pub mod backend;
pub mod drive;
pub mod import;
mod name;
mod pair;
pub mod portal;
pub mod reports;
pub mod server;
