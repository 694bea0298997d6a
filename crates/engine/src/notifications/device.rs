//! Devices: browsers that owners subscribed to push messages.

use keystile_core::key::{OwnerId, SubscriptionId};
use keystile_core::label::SHORT_NAME_CHARS_MAX;
use keystile_core::lock::Actor;
use keystile_store::sqlite::notifications::subscription::{self, NewSubscription, SubscriptionRow};
use uuid::Uuid;

use crate::Engine;
use crate::command::Failure;
use crate::execute::{check_name_of, failure};

/// The longest address of a push service that is kept; those of the known ones have a few hundred bytes.
const ADDRESS_BYTES_MAX: usize = 2_000;
/// A public key on P-256 and a secret of 16 bytes, in base64url.
const KEY_BYTES_MAX: usize = 200;

/// A device that a browser offers.
#[derive(Clone, Debug)]
pub struct NewDevice {
    /// Where its push service takes messages for it.
    pub push_address: String,
    /// What messages to it are encrypted for.
    pub p256dh: String,
    /// A secret that it shares with whoever sends.
    pub auth: String,
    /// What its owner calls it.
    pub label: String,
}

impl Engine {
    /// The devices of all owners, oldest first. Blocks.
    pub fn devices(&self) -> Result<Vec<SubscriptionRow>, Failure> {
        Ok(self.store.read(subscription::list)?)
    }

    /// Subscribes a device of an owner; one that is known gets its new keys.
    pub async fn subscribe_device(
        &self,
        owner: OwnerId,
        device: NewDevice,
        actor: Actor,
    ) -> Result<SubscriptionId, Failure> {
        let is_fine = device.push_address.len() <= ADDRESS_BYTES_MAX
            && device.push_address.starts_with("https://")
            && device.p256dh.len() <= KEY_BYTES_MAX
            && device.auth.len() <= KEY_BYTES_MAX;
        if !is_fine {
            return Err(failure(
                "this is no push subscription that a browser gives",
                "try again with another browser",
            ));
        }
        check_name_of("a device", "subscription_", &device.label, SHORT_NAME_CHARS_MAX)?;
        let new = NewSubscription {
            id: SubscriptionId::new(Uuid::now_v7()),
            owner,
            push_address: device.push_address,
            p256dh: device.p256dh,
            auth: device.auth,
            label: device.label,
        };
        Ok(self.store.change(move |work| work.subscribe(&new, &actor)).await?)
    }

    /// Removes a device; nothing is pushed to it any more.
    pub async fn remove_device(&self, id: SubscriptionId, actor: Actor) -> Result<(), Failure> {
        Ok(self.store.change(move |work| work.unsubscribe(id, &actor, "by an owner")).await?)
    }
}
