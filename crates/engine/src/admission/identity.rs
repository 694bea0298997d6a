//! Who calls.

use std::sync::Arc;

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

/// What a call that stays open does, such as a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenCall {
    /// It was taken for a read.
    Reads,
    /// It was counted as a write.
    Writes,
}
