//! Arguments of `notify`.

use clap::{Args, Subcommand};
use keystile_core::notifications::delivery::{DeliveryId, DeliveryState};
use keystile_core::notifications::trigger::Trigger;

use super::form::CommonArguments;

/// What to do with channels and deliveries.
#[derive(Debug, Subcommand)]
pub enum NotifyCommand {
    /// Send a real message on a channel, and show what the receiver answered.
    #[command(after_help = "\
Exits with 1 when it did not arrive.

Example:
  keystile notify test owner-mail")]
    Test {
        /// The channel, as the configuration names it.
        #[arg(value_name = "CHANNEL")]
        channel: String,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
    /// List deliveries, latest first.
    #[command(after_help = "\
Examples:
  keystile notify list --state failed
  keystile notify list --channel owner-mail --json")]
    List(ListDeliveriesArguments),
    /// Show a delivery with every attempt.
    Show {
        /// Its id.
        #[arg(value_name = "DELIVERY")]
        delivery: DeliveryId,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
    /// Send a delivery that failed again.
    Resend {
        /// Its id.
        #[arg(value_name = "DELIVERY")]
        delivery: DeliveryId,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
    /// List the channels and their state.
    Channels(CommonArguments),
    /// Send digests again that were stopped from their emails.
    #[command(after_help = "\
`keystile notify channels` says which were stopped.

Example:
  keystile notify resume owner-mail")]
    Resume {
        /// The channel, as the configuration names it.
        #[arg(value_name = "CHANNEL")]
        channel: String,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
}

impl NotifyCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::List(arguments) => &arguments.common,
            Self::Test { common, .. }
            | Self::Show { common, .. }
            | Self::Resend { common, .. }
            | Self::Resume { common, .. }
            | Self::Channels(common) => common,
        }
    }
}

/// Arguments of `notify list`.
#[derive(Debug, Args)]
pub struct ListDeliveriesArguments {
    /// Only those in this state: waiting, sending, sent or failed.
    #[arg(long, value_name = "STATE", help_heading = "Filters")]
    pub state: Option<DeliveryState>,
    /// Only those on this channel.
    #[arg(long, value_name = "CHANNEL", help_heading = "Filters")]
    pub channel: Option<String>,
    /// Only those of this event.
    #[arg(
        long,
        value_name = "EVENT",
        value_parser = event,
        help_heading = "Filters",
        help = "Only those of this event, as in key_locked"
    )]
    pub event: Option<Trigger>,
    /// Only those before this one.
    #[arg(long, value_name = "DELIVERY")]
    pub before: Option<DeliveryId>,
    /// At most this many [default: 100; 1000 with --json].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

fn event(name: &str) -> Result<Trigger, String> {
    Trigger::named(name).ok_or_else(|| {
        let names: Vec<_> = Trigger::of_rules().map(Trigger::name).collect();
        format!("there is no event {name}: it is {} or test", names.join(", "))
    })
}
