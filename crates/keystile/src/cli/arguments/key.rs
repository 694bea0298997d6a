//! Arguments of `key`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use keystile_core::keys::lock::LockLevel;
use keystile_core::time::Span;

use super::super::when::parse_grace;
use super::form::{CommonArguments, ConsentArguments};

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Issue a key, which is shown only then; creates the application when it is new.
    #[command(after_help = "\
Examples:
  keystile key create --application reader --plan open
  KEY=$(keystile key create --application reader --plan open)
  keystile key create --application team --plan open --count 5 --json")]
    Create(CreateKeysArguments),
    /// Take over a key that another system issued, so that its caller need not change it.
    #[command(after_help = "\
The key is read from a file or from standard input, because what stands on a command
line can be seen by others: 5 to 255 visible ASCII characters. Keystile keeps only its
hash. Listings show the beginning of a key of 16 characters or more, and of a shorter one
nothing.

Callers send it in the header or query parameter of `key_header` or
`key_query_parameter`, or in X-API-Key.

Examples:
  keystile key import --application reader --plan open --origin 3scale --file key.txt
  pass show reader | keystile key import --application reader --origin 3scale")]
    Import(ImportKeyArguments),
    /// List keys, oldest first.
    List(ListKeysArguments),
    /// Show a key with its budgets and its history.
    Show(KeyArguments),
    /// Stop the writes of a key, or all its calls.
    #[command(after_help = "\
Examples:
  keystile key lock ks_4fGh2kQz --reason \"deletes what is not theirs\"
  keystile key lock ks_4fGh2kQz --level all --reason leaked --for \"2 hours\"")]
    Lock(LockArguments),
    /// Unlock a key.
    #[command(after_help = "\
What was counted stays counted: where a budget is used up, the next write locks the key again.")]
    Unlock {
        /// The key.
        #[command(flatten)]
        key: KeyArguments,
        /// Reset its write budgets; it can then write more than its plan says.
        #[arg(long)]
        reset_budget: bool,
    },
    /// Issue a successor; the old key works for a grace period and is then revoked.
    Roll {
        /// The key.
        #[command(flatten)]
        key: KeyArguments,
        /// How long the old key keeps working; 0 revokes it at once.
        #[arg(long, value_name = "DURATION", default_value = "24 hours", value_parser = parse_grace)]
        grace: i64,
    },
    /// Move a key to another plan.
    #[command(after_help = "\
What the key wrote before counts in the budgets of the new plan.

Example:
  keystile key change ks_4fGh2kQz --plan trusted")]
    Change {
        /// The key.
        #[command(flatten)]
        key: KeyArguments,
        /// The plan.
        #[arg(long, value_name = "PLAN")]
        plan: String,
    },
    /// Attach a note to a key; an empty note removes it.
    Note {
        /// The key.
        #[command(flatten)]
        key: KeyArguments,
        /// The note.
        #[arg(value_name = "TEXT")]
        note: String,
    },
    /// Revoke a key for good.
    Revoke {
        /// The key.
        #[command(flatten)]
        key: KeyArguments,
        /// Whether to ask.
        #[command(flatten)]
        consent: ConsentArguments,
    },
}

impl KeyCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Create(arguments) => &arguments.common,
            Self::Import(arguments) => &arguments.common,
            Self::List(arguments) => &arguments.common,
            Self::Lock(arguments) => &arguments.key.common,
            Self::Show(key)
            | Self::Unlock { key, .. }
            | Self::Roll { key, .. }
            | Self::Change { key, .. }
            | Self::Note { key, .. }
            | Self::Revoke { key, .. } => &key.common,
        }
    }
}

/// A key.
#[derive(Debug, Args)]
pub struct KeyArguments {
    /// The key's id, its prefix as `key list` shows it, or the key itself.
    #[arg(value_name = "KEY")]
    pub key: String,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `key create`.
#[derive(Debug, Args)]
pub struct CreateKeysArguments {
    /// The application that the key belongs to.
    #[arg(long, value_name = "NAME")]
    pub application: String,
    /// Its plan [default: the application's plan].
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// How many keys.
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub count: u32,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `key import`.
#[derive(Debug, Args)]
pub struct ImportKeyArguments {
    /// The application that the key belongs to; created when it is new.
    #[arg(long, value_name = "NAME")]
    pub application: String,
    /// Its plan [default: the application's plan].
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Where the key comes from, for listings and the audit.
    #[arg(long, value_name = "LABEL")]
    pub origin: String,
    /// What the key was called there; kept as its note.
    #[arg(long, value_name = "TEXT")]
    pub name: Option<String>,
    /// The file that holds the key [default: standard input].
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `key list`.
#[derive(Debug, Args)]
pub struct ListKeysArguments {
    /// Only keys of this application.
    #[arg(long, value_name = "NAME")]
    pub application: Option<String>,
    /// Only keys on this plan.
    #[arg(long, value_name = "PLAN")]
    pub plan: Option<String>,
    /// Only keys in this state.
    #[arg(long)]
    pub state: Option<StateArgument>,
    /// At most this many [default: 100; all with --json].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Only keys after the one with this id.
    #[arg(long, value_name = "ID")]
    pub after: Option<String>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `key lock`.
#[derive(Debug, Args)]
pub struct LockArguments {
    /// The key.
    #[command(flatten)]
    pub key: KeyArguments,
    /// Which calls to stop.
    #[arg(long, value_enum, default_value = "writes")]
    pub level: LevelArgument,
    /// The reason, for you and for others who look later.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// For how long, as in "2 hours" [default: until it is unlocked].
    #[arg(long = "for", value_name = "DURATION")]
    pub span: Option<Span>,
}

/// The state of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StateArgument {
    /// Usable.
    Active,
    /// Some or all of its calls are stopped.
    Locked,
    /// Never usable again.
    Revoked,
}

impl StateArgument {
    /// The name that the engine uses.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Locked => "locked",
            Self::Revoked => "revoked",
        }
    }
}

/// Which calls a lock stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LevelArgument {
    /// Writes stop, reads keep flowing.
    Writes,
    /// Every call stops.
    All,
}

impl From<LevelArgument> for LockLevel {
    fn from(level: LevelArgument) -> Self {
        match level {
            LevelArgument::Writes => Self::Writes,
            LevelArgument::All => Self::All,
        }
    }
}
