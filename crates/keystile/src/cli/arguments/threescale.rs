//! Arguments of `threescale`.

use clap::{Args, Subcommand};
use keystile_engine::keys::difference::Side;

use super::form::{CommonArguments, ConsentArguments};

/// What to do with accounts of 3scale.
#[derive(Debug, Subcommand)]
pub enum ThreescaleCommand {
    /// Bring over what is new in 3scale, and follow what changed there.
    #[command(after_help = "\
A running server does this by itself, as often as `refresh` says. What cannot come over is named, and \
holds up nothing.

Examples:
  keystile threescale sync --dry-run
  keystile threescale sync --account main")]
    Sync(SyncArguments),
    /// Check whether an account can be used as it is set up, and what the mapping of plans misses.
    #[command(after_help = "Exits with 1 when it finds a problem.")]
    Check(ThreescaleArguments),
    /// Show when accounts were last read, and how far they are with following locks.
    Status(CommonArguments),
    /// List where 3scale and Keystile differ and somebody has to decide it.
    #[command(after_help = "\
What a reading of 3scale follows by itself is not listed. Differences are those of the last reading; \
`keystile threescale sync` reads at once.")]
    Drift(ThreescaleArguments),
    /// Take a side of a difference: how it is here, or how it is there.
    #[command(after_help = "\
The application is looked up in 3scale once more: where the difference is not as listed any more, nothing is \
done.

Examples:
  keystile threescale take main plan-41-5d41402a there
  keystile threescale take main access-41-7d793037 here")]
    Take(TakeArguments),
}

impl ThreescaleCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Sync(arguments) => &arguments.account.common,
            Self::Check(arguments) | Self::Drift(arguments) => &arguments.common,
            Self::Status(common) => common,
            Self::Take(arguments) => &arguments.common,
        }
    }
}

/// Which account.
#[derive(Debug, Args)]
pub struct ThreescaleArguments {
    /// Only this account, as [threescale.NAME] calls it.
    #[arg(long, value_name = "NAME")]
    pub account: Option<String>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `threescale sync`.
#[derive(Debug, Args)]
pub struct SyncArguments {
    /// Change nothing, and say what would be changed.
    #[arg(long)]
    pub dry_run: bool,
    /// Revoke the keys also where much is gone in 3scale at once.
    #[arg(long)]
    pub confirm_deletions: bool,
    /// Which account.
    #[command(flatten)]
    pub account: ThreescaleArguments,
}

/// Arguments of `threescale take`.
#[derive(Debug, Args)]
pub struct TakeArguments {
    /// The account, as [threescale.NAME] calls it.
    #[arg(value_name = "NAME")]
    pub account: String,
    /// The difference, by its id in `drift`.
    #[arg(value_name = "DIFFERENCE")]
    pub difference: String,
    /// The side that is right: `here` changes 3scale, `there` changes Keystile.
    #[arg(value_name = "here|there")]
    pub side: Side,
    /// Whether to ask first.
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
