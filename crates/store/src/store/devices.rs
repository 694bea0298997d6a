//! Devices: the browsers and phones of owners that take push messages.

use keystile_core::actor::Actor;
use keystile_core::notifications::subscription::SubscriptionId;

use crate::error::Result;
use crate::owners::devices::{NewSubscription, SubscriptionRow};
use crate::sqlite::notifications::{subscription, vapid};
use crate::store::Store;

impl Store {
    /// The devices of all owners, oldest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn devices(&self) -> Result<Vec<SubscriptionRow>> {
        self.query(subscription::list).await
    }

    /// The device with an id; `None` where it was removed.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn device(&self, id: SubscriptionId) -> Result<Option<SubscriptionRow>> {
        self.query(move |connection| subscription::find(connection, &id.to_string())).await
    }

    /// Subscribes a device of an owner. One that is known by its push address keeps its id, and becomes
    /// this owner's with its new keys.
    ///
    /// # Errors
    /// `Missing` when there is no such owner, `Conflict` when they have too many devices; when the store
    /// cannot commit.
    pub async fn subscribe_device(
        &self,
        new: NewSubscription,
        actor: Actor,
    ) -> Result<SubscriptionId> {
        self.write(move |tx| subscription::subscribe(tx, &new, &actor)).await
    }

    /// Removes a device; nothing is pushed to it any more.
    ///
    /// # Errors
    /// `Missing` when there is no such device; when the store cannot commit.
    pub async fn remove_device(&self, id: SubscriptionId, actor: Actor) -> Result<()> {
        self.write(move |tx| subscription::remove(tx, id, &actor, "by an owner")).await
    }

    /// The key by which push services know this server (RFC 8292), in PKCS #8; `None` where none was
    /// made yet.
    ///
    /// # Errors
    /// When the store cannot be read, and when the key in it is damaged.
    pub async fn vapid_key(&self) -> Result<Option<Vec<u8>>> {
        self.query(vapid::key).await
    }

    /// Keeps a new key for push services, where none was made yet; says which is kept.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn keep_vapid_key(&self, new: Vec<u8>) -> Result<Vec<u8>> {
        self.write(move |tx| vapid::keep(tx, &new)).await
    }
}
