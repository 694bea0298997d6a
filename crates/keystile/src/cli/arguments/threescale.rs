//! Arguments of `threescale`.

use std::path::PathBuf;

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
    /// Bring a whole account over, into the backend that Keystile serves in 3scale's place.
    #[command(after_help = "\
Services, metrics, methods, limits, tokens, applications and keys come over as they are, and what gateways \
are told of services. Done again, it shows what changed there since and brings that over. What has no \
counterpart is named. Needs [threescale_backend] in the configuration.

Examples:
  keystile threescale import --from main --dry-run
  keystile threescale import --from main --policy apis.toml
  keystile threescale import acme.json")]
    Import(ImportArguments),
    /// Write what an account holds into a file that `import` reads.
    #[command(after_help = "\
The file holds the keys and tokens of the account as they are: keep it from others, and delete it after the \
import.

Example:
  keystile threescale export --from main --output acme.json")]
    Export(ExportAccountArguments),
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
            Self::Import(arguments) => &arguments.common,
            Self::Export(arguments) => &arguments.common,
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

/// From which portal.
#[derive(Debug, Args)]
pub struct PortalArguments {
    /// Read the portal of this account, as [threescale.NAME] calls it; with just one, "portal" will do.
    #[arg(long, value_name = "NAME")]
    pub from: Option<String>,
    /// Only this service, by its number; may be repeated. By default all that the token's user may see.
    #[arg(long, value_name = "ID")]
    pub service: Vec<u64>,
}

/// Arguments of `threescale import`.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// A file that `keystile threescale export` wrote.
    #[arg(value_name = "FILE", required_unless_present = "from", conflicts_with = "from")]
    pub file: Option<PathBuf>,
    /// Which portal, where it is not a file.
    #[command(flatten)]
    pub portal: PortalArguments,
    /// Change nothing, and say what would be changed.
    #[arg(long)]
    pub dry_run: bool,
    /// Write APIs, operations and plans into this new file, as a configuration has them.
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `threescale export`.
#[derive(Debug, Args)]
pub struct ExportAccountArguments {
    /// Which portal.
    #[command(flatten)]
    pub portal: PortalArguments,
    /// Write into this new file, which only you can read, instead of standard output.
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
