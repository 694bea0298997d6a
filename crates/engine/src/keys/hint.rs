//! Hints: a key source says that something changed there.
//!
//! # What this protects
//! Whoever knows a source's secret can have it looked at again, and nothing else: what a hint says is not
//! believed. Secrets are compared as hashes under the store's own secret, so the time that takes tells nothing of
//! them, and who guesses one has to wait, as with keys and tokens.

use std::net::IpAddr;
use std::sync::Arc;

use crate::engine::{Engine, KeySource};

/// Where the console takes hints; the secret follows.
pub const HINT_PATH: &str = "/hooks/keys/";

/// Why a hint is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HintRefusal {
    /// No source has this secret.
    Unknown,
    /// So many secrets that no source has came from this address that it has to wait.
    Wait {
        /// For so many seconds.
        seconds: u64,
    },
}

impl Engine {
    /// The sources whose secret somebody at an address shows.
    ///
    /// # Errors
    /// When there is none, or too many were guessed.
    pub fn hinted_sources(
        &self,
        secret: &str,
        address: IpAddr,
    ) -> Result<Vec<Arc<dyn KeySource>>, HintRefusal> {
        let pepper = self.store.pepper().derived("keystile hint secret");
        let shown = pepper.hash(secret.as_bytes());
        let is_shown = |source: &&Arc<dyn KeySource>| {
            source.hint_secret().is_some_and(|secret| pepper.hash(secret.as_bytes()) == shown)
        };
        let hinted: Vec<_> = self.key_sources().iter().filter(is_shown).cloned().collect();
        if !hinted.is_empty() {
            return Ok(hinted);
        }
        Err(match self.count_guess(address) {
            Ok(()) => HintRefusal::Unknown,
            Err(seconds) => HintRefusal::Wait { seconds },
        })
    }
}
