//! Deliveries, their attempts, and the channels that carry them.

use keystile_core::notifications::delivery::{AttemptOutcome, DeliveryId, DeliveryState};
use keystile_core::notifications::notice::Notice;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::{Span, Timestamp};

use crate::owners::devices::SubscriptionRow;

/// How long a claim holds. It is longer than any sender takes to give up, because a claim that ends while
/// its sender still talks to the other side tells somebody twice.
pub const LEASE: Span = Span::from_secs(180);

/// A delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryRow {
    /// Its row number.
    pub row: i64,
    pub id: DeliveryId,
    /// The rule by which it is told.
    pub rule: String,
    /// The channel.
    pub channel: String,
    /// The address or subscription, where the channel has several.
    pub receiver: Option<String>,
    /// What happened.
    pub kind: Trigger,
    /// What it belongs together with.
    pub thread: String,
    /// What is told.
    pub notice: Notice,
    /// How far it has come.
    pub state: DeliveryState,
    /// When it is tried next.
    pub not_before: Timestamp,
    /// How often it was claimed.
    pub attempts: u32,
    /// When it was written.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// What the other side said last.
    pub last_said: Option<String>,
}

impl DeliveryRow {
    /// The id of the device that receives it, where a device does.
    pub fn device(&self) -> Option<&str> {
        self.receiver.as_deref().filter(|receiver| receiver.starts_with("device_"))
    }
}

/// An attempt at a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRow {
    /// When it ended.
    pub time: Timestamp,
    /// Its outcome's name.
    pub outcome: String,
    /// What the other side said.
    pub said: String,
    /// How long it took.
    pub duration_ms: u64,
}

/// A delivery with the name of the device that it is for, where it is for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedDelivery {
    /// The delivery.
    pub row: DeliveryRow,
    /// What its owner calls the device.
    pub device: Option<String>,
}

/// A delivery that was claimed, with the device that it is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedRow {
    /// The delivery.
    pub row: DeliveryRow,
    /// The device; `None` also where it was removed.
    pub device: Option<SubscriptionRow>,
}

/// The result of an attempt, for the delivery that was claimed.
#[derive(Clone, Debug)]
pub struct NewAttempt {
    /// The delivery.
    pub id: DeliveryId,
    /// How many attempts it had when it was claimed.
    pub claim: u32,
    /// The result.
    pub outcome: AttemptOutcome,
    /// How long it took.
    pub duration_ms: u64,
    /// Spreads next attempts.
    pub random: u32,
}

/// Which deliveries to list.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those on this channel.
    pub channel: Option<String>,
    /// Only those of this kind.
    pub kind: Option<Trigger>,
    /// Only those with a lower row number.
    pub before: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// How a channel stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelStanding {
    /// Deliveries that wait or are being sent.
    pub open: u64,
    /// Deliveries that failed.
    pub failed: u64,
    /// When something last arrived.
    pub last_sent: Option<Timestamp>,
    /// What the other side said when it went.
    pub gone: Option<String>,
}

/// A receiver that takes no more digests of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DigestStop {
    /// The rule.
    pub rule: String,
    /// The address.
    pub receiver: String,
    /// Since when.
    pub since: Timestamp,
}
