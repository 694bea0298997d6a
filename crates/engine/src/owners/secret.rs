//! Secrets of owners and programs: made here, and kept only as their hashes.

use keystile_core::owners::secret::{Secret, SecretHash, SecretKind};

use crate::engine::Engine;

impl Engine {
    pub(crate) fn secret(kind: SecretKind) -> Secret {
        Secret::from_random(kind, keystile_store::random())
    }

    /// The hash by which the store knows a text; `None` where it is no secret of this kind.
    pub(crate) fn secret_hash(&self, kind: SecretKind, text: &str) -> Option<SecretHash> {
        SecretHash::of(kind, text, self.store.pepper())
    }
}
