//! A delivery with all that whoever sends it needs.

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::delivery::DeliveryId;
use keystile_core::notifications::notice::Notice;
use keystile_core::time::Timestamp;
use keystile_store::owners::devices::SubscriptionRow;

/// A delivery that its holder sends now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedDelivery {
    /// Its id, which stays the same however often it is sent.
    pub id: DeliveryId,
    /// The number of this claim; 0 for what is sent past the store.
    pub claim: u32,
    /// The rule by which it is told.
    pub rule: String,
    /// The channel.
    pub channel: ChannelRule,
    /// Who, where the channel has several receivers.
    pub receiver: Option<Receiver>,
    /// What it belongs together with.
    pub thread: String,
    /// What is told.
    pub notice: Notice,
    /// What becomes of a lock in the system that its key comes from, where that follows locks.
    pub elsewhere: Option<String>,
    /// When it was written.
    pub created: Timestamp,
    /// What its reader can do.
    pub links: Links,
}

/// A receiver of a channel that has several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Receiver {
    /// A mailbox.
    Address(String),
    /// A subscribed device.
    Device(Box<SubscriptionRow>),
}

/// Addresses that a message leads to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// Where the console shows what it is about.
    pub view: Option<String>,
    /// What locks the key, once, without signing in.
    pub lock: Option<String>,
    /// Where a signed-in owner unlocks the key.
    pub unlock: Option<String>,
    /// What ends digests like this one to its receiver, without signing in.
    pub stop: Option<String>,
}
