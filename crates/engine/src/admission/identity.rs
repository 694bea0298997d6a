//! Who calls.

use std::sync::Arc;

use keystile_core::refusal::{Reason, Refusal};
use keystile_core::time::Timestamp;
use keystile_store::key_cache::KeyEntry;

/// Who calls.
#[derive(Clone, Debug)]
pub enum Identity {
    /// A key that was issued here, of whatever state.
    Key(Arc<KeyEntry>),
    /// Nobody said.
    Keyless,
    /// A key that was not issued here.
    Unknown,
}

/// When it makes sense to try again with a key whose source cannot be read: it is read again by itself.
const SOURCE_AGAIN_SECS: u64 = 60;

impl Identity {
    /// Whether it is a key of a source that was not heard of for so long that its keys do not work any more.
    pub(super) fn lacks_its_source(&self, now: Timestamp) -> bool {
        match self {
            Self::Key(key) => !key.is_vouched_for(now),
            Self::Keyless | Self::Unknown => false,
        }
    }
}

/// The refusal of a call with such a key.
pub(super) fn key_source_unavailable() -> Refusal {
    Refusal::new(Reason::KeySourceUnavailable).retry_after_secs(SOURCE_AGAIN_SECS)
}

/// What a call that stays open does, such as a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenCall {
    /// It was taken for a read.
    Reads,
    /// It was counted as a write.
    Writes,
}
