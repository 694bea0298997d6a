//! What the parts of an open store share.

use std::sync::Arc;

use arc_swap::ArcSwap;
use keystile_core::notifications::watch::WatchRules;
use tokio::sync::Notify;

use crate::key_cache::KeyCache;
use crate::sqlite::writer::health::Health;
use crate::sqlite::writer::readers::Readers;

/// What the parts of an open store share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shared {
    pub(crate) health: Arc<Health>,
    pub(crate) readers: Arc<Readers>,
    /// The keys that requests are looked up in.
    pub(crate) keys: Arc<KeyCache>,
    /// Which events notify whom.
    pub(crate) watching: Arc<ArcSwap<WatchRules>>,
    /// Notified when something was put into the outbox.
    pub(crate) outbox_signal: Arc<Notify>,
}
