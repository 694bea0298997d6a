//! Why action links do not act, and how often that was since it was last written down.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keystile_core::time::Timestamp;

/// Why a link does not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum LinkRefusal {
    /// It was cut, changed, or never made here.
    #[error("this link is invalid or incomplete: it was cut or changed on its way")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
    /// It has acted.
    #[error("this link has been used: it acts once")]
    Used,
    /// Its key is gone or revoked.
    #[error("the key of this link is revoked")]
    NoKey,
}

impl LinkRefusal {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forged => "invalid or incomplete",
            Self::Expired => "expired",
            Self::Used => "used before",
            Self::NoKey => "its key is revoked",
        }
    }
}

/// Uses that were refused since they were last written down.
#[derive(Debug, Default)]
pub(crate) struct RefusedLinks(Mutex<HashMap<LinkRefusal, (Timestamp, u64)>>);

impl RefusedLinks {
    pub(super) fn note(&self, refusal: LinkRefusal, now: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.entry(refusal).or_insert((now, 0)).1 += 1;
    }

    pub(super) fn take(&self, first_before: Timestamp) -> Vec<(LinkRefusal, u64)> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused
            .extract_if(|_, (first, _)| *first <= first_before)
            .map(|(refusal, (_, count))| (refusal, count))
            .collect()
    }
}
