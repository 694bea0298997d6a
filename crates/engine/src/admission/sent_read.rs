//! Counting reads that go out, where a key source is told of them.

use http::Method;
use keystile_core::request::call_method::CallMethod;
use keystile_store::key_cache::KeyEntry;

use crate::admission::identity::Identity;
use crate::engine::Engine;

/// A read that is on its way out. It counts when this is dropped, unless it was not sent.
#[derive(Debug)]
#[must_use = "a read counts when this is dropped"]
pub struct SentRead<'a>(Option<(&'a KeyEntry, CallMethod)>);

impl Engine {
    /// Counts a read once it went out, if reads with its key are counted. Takes no lock.
    pub fn count_when_sent<'a>(&self, identity: &'a Identity, method: &Method) -> SentRead<'a> {
        let counted = match identity {
            Identity::Key(key) if self.store.keys().counts_reads_of(key) => {
                Some((&**key, CallMethod::of(method.as_str())))
            }
            Identity::Key(_) | Identity::Keyless | Identity::Unknown => None,
        };
        SentRead(counted)
    }
}

impl SentRead<'_> {
    /// Not a byte of it went out: it does not count.
    pub fn was_not(mut self) {
        self.0 = None;
    }
}

impl Drop for SentRead<'_> {
    fn drop(&mut self) {
        if let Some((key, method)) = self.0 {
            key.note_sent_read(method);
        }
    }
}
