//! What `APIcast` boots from: the configurations of its services, as 3scale's portal serves them.
//!
//! # How
//! [`route`] is the list of paths; [`access`] stands before them; [`render`] makes of a record what a gateway reads:
//! with this backend in the place of 3scale's, and a service token that opens it.
//!
//! # Not here
//! All else that a portal has. What gateways are told comes in by an import, and is not changed here.

pub(super) mod access;
mod page;
mod render;
pub(super) mod route;
