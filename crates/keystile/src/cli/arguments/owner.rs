//! Arguments of `owner`.

use clap::{Args, Subcommand};

use super::form::{CommonArguments, ConsentArguments};

/// What to do with owners.
#[derive(Debug, Subcommand)]
pub enum OwnerCommand {
    /// Create a link with which somebody becomes an owner: it works once, for 30 minutes.
    #[command(after_help = "\
A new link makes an unused one invalid. The latest is also in the file `owner-link` of
the data directory, which only its user can read.

Example:
  ssh server keystile owner link --data /var/lib/keystile")]
    Link(CommonArguments),
    /// List owners by name.
    List(CommonArguments),
    /// Remove an owner and end their sessions; never the last one.
    Remove(RemoveOwnerArguments),
}

impl OwnerCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Link(common) | Self::List(common) => common,
            Self::Remove(arguments) => &arguments.common,
        }
    }
}

/// Arguments of `owner remove`.
#[derive(Debug, Args)]
pub struct RemoveOwnerArguments {
    /// Their name or id.
    #[arg(value_name = "OWNER")]
    pub owner: String,
    /// Whether to ask.
    #[command(flatten)]
    pub consent: ConsentArguments,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
