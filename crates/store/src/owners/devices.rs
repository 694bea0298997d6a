//! Devices: the browsers and phones of owners that take push messages.

use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::owners::owner::OwnerId;
use keystile_core::time::Timestamp;

/// A device that takes Web Push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionRow {
    pub id: SubscriptionId,
    /// The id of its owner.
    pub owner: OwnerId,
    /// Where its push service takes messages for it.
    pub push_address: String,
    /// What messages to it are encrypted for.
    pub p256dh: String,
    /// A secret that it shares with whoever sends.
    pub auth: String,
    /// What its owner calls it.
    pub label: String,
    /// Since when.
    pub created: Timestamp,
    /// When a message last arrived.
    pub used: Option<Timestamp>,
}

/// A device to subscribe.
#[derive(Clone, Debug)]
pub struct NewSubscription {
    pub id: SubscriptionId,
    /// Whose it is.
    pub owner: OwnerId,
    /// Where its push service takes messages for it.
    pub push_address: String,
    /// What messages to it are encrypted for.
    pub p256dh: String,
    /// A secret that it shares with whoever sends.
    pub auth: String,
    /// What its owner calls it.
    pub label: String,
}
