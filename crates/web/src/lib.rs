//! The owner's console: pages, the admin API, and what both stand on.
//!
//! # The cast
//!
//! - [`Web`] is what every handler sees: the engine, the settings, and what lives only in memory
//!   (flashes, the feed's watchers).
//! - `router.rs` shows every route on one page.
//! - `guard.rs` stands in front of all of them: which Host, which origin, which headers. Health, metrics and hooks
//!   (`hook.rs`) are for machines, and go without.
//! - `sign_in/session.rs` says who is signed in; a handler that takes [`sign_in::session::SignedIn`] cannot be
//!   reached without. The other files of `sign_in/` are the ways to get there, one for each ceremony.
//! - `page/` has one file for each screen, `templates/` its HTML; `api/` the same actions as JSON.
//! - `feed.rs` sends watchers what was written a moment ago. One task reads the store for all of them,
//!   and only while somebody watches.
//!
//! # What this protects
//!
//! Text that callers choose (paths, agents, names) goes through the templates' escaping, never around
//! it. No page has an inline script or style, and the policy in `guard.rs` forbids them.
//!
//! Not here: sockets and TLS (`keystile`), rules (core), what an action does (engine).

mod api;
mod asset;
mod device;
mod feed;
mod flash;
mod form;
mod format;
mod guard;
mod health;
mod hook;
mod links;
mod page;
mod peer;
pub mod router;
mod settings;
mod sign_in;
mod traffic;
mod web;

pub use peer::Peer;
pub use settings::{Access, WebSettings};
pub use web::Web;
