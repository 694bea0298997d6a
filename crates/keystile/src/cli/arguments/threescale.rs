//! Arguments of `threescale`.

use clap::{Args, Subcommand};

use super::form::CommonArguments;

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
}

impl ThreescaleCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Sync(arguments) => &arguments.account.common,
            Self::Check(arguments) => &arguments.common,
            Self::Status(common) => common,
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
