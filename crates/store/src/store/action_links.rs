//! Links in messages that act on a key: each acts once.

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyId;
use keystile_core::owners::secret::SecretHash;

use crate::error::Result;
use crate::owners::action_links::{LinkLock, LinkTarget};
use crate::sqlite::notifications::action;
use crate::store::Store;

impl Store {
    /// What the link with a hash, for a key, would act on. Changes nothing.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn link_target(&self, hash: SecretHash, key: KeyId) -> Result<LinkTarget> {
        self.query(move |connection| action::target(connection, &hash, key)).await
    }

    /// Uses a link up and locks its key, in one commit; nothing is locked where it was used before. A
    /// key that is locked keeps the stricter level and the later end.
    ///
    /// # Errors
    /// `Missing` and `Conflict` when its key is gone or revoked; when the store cannot commit. The link
    /// can then still act.
    pub async fn lock_by_link(&self, link: LinkLock, actor: Actor) -> Result<LinkTarget> {
        self.write(move |tx| action::lock(tx, &link, &actor)).await
    }
}
