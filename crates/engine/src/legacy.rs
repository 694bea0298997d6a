//! Commands that are not types of their own yet, and their answers.

use keystile_core::key::DeliveryId;
use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::{ChannelView, DeliveryDetails, DeliveryFilter, DeliveryView, Failure};

/// What an owner asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "command")]
pub enum Command {
    /// Sends a real message on a channel, and says what the other side answered.
    TestChannel {
        /// Its name.
        channel: String,
    },
    /// Channels, in the order of the file.
    ListChannels,
    /// Deliveries, latest first.
    ListDeliveries(DeliveryFilter),
    /// One delivery with what was tried.
    ShowDelivery {
        /// Its id.
        delivery: DeliveryId,
    },
    /// Sends a delivery that failed again.
    ResendDelivery {
        /// Its id.
        delivery: DeliveryId,
    },
    /// Lets digests of a channel that were stopped go out again.
    ResumeDigests {
        /// The channel's name.
        channel: String,
    },
}

impl Command {
    /// What a token has to be allowed to ask for this.
    pub fn scope(&self) -> Scope {
        match self {
            Self::ListChannels | Self::ListDeliveries(_) | Self::ShowDelivery { .. } => Scope::Read,
            Self::TestChannel { .. } | Self::ResendDelivery { .. } | Self::ResumeDigests { .. } => {
                Scope::Write
            }
        }
    }
}

/// What comes back.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "answer", content = "value")]
pub enum Answer {
    /// It is done; a sentence says what.
    Done(String),
    /// A list of channels.
    Channels(Vec<ChannelView>),
    /// A list of deliveries.
    Deliveries(Vec<DeliveryView>),
    /// One delivery.
    Delivery(Box<DeliveryDetails>),
    /// It could not be done; nothing was changed.
    Failed(Failure),
}
