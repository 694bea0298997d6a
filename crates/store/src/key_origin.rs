//! The systems that imported keys come from, and until when their keys work.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use keystile_core::time::Timestamp;

/// Another system that keys come from, shared by all of them.
#[derive(Debug)]
pub struct KeyOrigin {
    /// When its keys stop working, `i64::MAX` for never.
    works_until: AtomicI64,
}

impl KeyOrigin {
    pub(crate) fn works_at(&self, now: Timestamp) -> bool {
        now.0 < self.works_until.load(Ordering::Relaxed)
    }

    /// Sets until when its keys work: for ever, unless somebody says so.
    pub fn set_works_until(&self, until: Option<Timestamp>) {
        self.works_until.store(until.map_or(i64::MAX, |until| until.0), Ordering::Relaxed);
    }
}

/// The systems that keys come from, by name.
#[derive(Debug, Default)]
pub(crate) struct Origins(Mutex<HashMap<String, Arc<KeyOrigin>>>);

impl Origins {
    pub(crate) fn named(&self, name: &str) -> Arc<KeyOrigin> {
        let mut origins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = origins.get(name) {
            return known.clone();
        }
        let origin = Arc::new(KeyOrigin { works_until: AtomicI64::new(i64::MAX) });
        origins.insert(name.to_owned(), origin.clone());
        origin
    }
}
