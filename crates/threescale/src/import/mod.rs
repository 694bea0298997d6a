//! Bringing an account of 3scale's over into the account that Keystile keeps itself.
//!
//! # How
//!
//! [`snapshot`] is what a portal says of an account, in the portal's own representations: [`read`] has it from the
//! portal, and a file holds it. [`convert`] makes [`parts`] of it, each of which the running server takes in one
//! commit ([`take`]), and [`lost`] tells what has no counterpart here. [`policy`] writes mapping rules as operations.
//!
//! # What this protects
//!
//! All of it is read and checked before anything is changed. A part that was taken before changes nothing, so an
//! import that broke off is done again.
//!
//! Not here: what an owner sees of it.

pub mod convert;
mod gone;
mod keep;
pub mod lost;
pub mod parts;
pub mod policy;
pub mod read;
pub mod snapshot;
pub mod take;
