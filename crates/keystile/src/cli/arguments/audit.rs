//! Arguments of `audit`.

use clap::{Args, Subcommand};

use super::form::CommonArguments;

/// What to do with the record of what happened.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// List what happened to keys, applications, owners and tokens, latest first.
    #[command(after_help = "\
Examples:
  keystile audit list --kind key_locked
  keystile audit list --actor ada --json")]
    List(ListEventsArguments),
    /// Verify that no event was changed, removed, inserted or cut off.
    #[command(after_help = "\
Exits with 1 when something does not fit. Keep the count and the head somewhere else: they
show later whether the whole record was replaced.")]
    Verify(CommonArguments),
}

impl AuditCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::List(arguments) => &arguments.common,
            Self::Verify(common) => common,
        }
    }
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub struct ListEventsArguments {
    /// Only events of this kind.
    #[arg(
        long,
        value_name = "KIND",
        help_heading = "Filters",
        help = "Only events of this kind, as in key_locked"
    )]
    pub kind: Option<String>,
    /// Only what somebody of this name did, or a kind of actor, as in owner or budget.
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub actor: Option<String>,
    /// Only events of this key: its id, its prefix, or the key itself.
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    pub key: Option<String>,
    /// Only events of this application and its keys.
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub application: Option<String>,
    /// Only what was done to this owner or token.
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub subject: Option<String>,
    /// At most this many [default: 100; 1000 with --json].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Only events before the one with this number.
    #[arg(long, value_name = "NUMBER")]
    pub before: Option<i64>,
    /// Only events after the one with this number.
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<i64>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
