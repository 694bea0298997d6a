//! Arguments of `token`.

use clap::{Args, Subcommand, ValueEnum};
use keystile_core::owners::scope::Scope;
use keystile_core::time::Span;

use super::form::{CommonArguments, ConsentArguments};

/// What to do with tokens of the admin API.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token for the admin API, which is shown only then.
    #[command(after_help = "\
Examples:
  keystile token create dashboard
  keystile token create provisioning --scope write --for \"90 days\"")]
    Create(CreateTokenArguments),
    /// List tokens, oldest first.
    List(CommonArguments),
    /// Revoke a token for good.
    Revoke {
        /// Its name or id.
        #[arg(value_name = "TOKEN")]
        token: String,
        /// Whether to ask.
        #[command(flatten)]
        consent: ConsentArguments,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
}

impl TokenCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Create(arguments) => &arguments.common,
            Self::List(common) | Self::Revoke { common, .. } => common,
        }
    }
}

/// Arguments of `token create`.
#[derive(Debug, Args)]
pub struct CreateTokenArguments {
    /// Its name, under which the audit records what it does.
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What the token may do.
    #[arg(long, value_enum, default_value = "read")]
    pub scope: ScopeArgument,
    /// How long it works, as in "90 days" [default: until it is revoked].
    #[arg(long = "for", value_name = "DURATION")]
    pub span: Option<Span>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// What a token may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopeArgument {
    /// Read everything that is not secret.
    Read,
    /// Also change keys, applications and locks.
    Write,
    /// Also change owners and tokens, make backups, reload the configuration.
    Admin,
}

impl From<ScopeArgument> for Scope {
    fn from(scope: ScopeArgument) -> Self {
        match scope {
            ScopeArgument::Read => Self::Read,
            ScopeArgument::Write => Self::Write,
            ScopeArgument::Admin => Self::Admin,
        }
    }
}
