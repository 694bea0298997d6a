//! The arguments of every command, parsed.

mod application;
mod audit;
mod form;
mod journal;
mod key;
mod notify;
mod owner;
#[cfg(test)]
mod tests;
mod threescale;
mod token;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use super::target::{CONFIG_DEFAULT, Target, TargetArguments};

pub use application::{ApplicationArguments, ApplicationCommand};
pub use audit::{AuditCommand, ListEventsArguments};
pub use form::{CommonArguments, ConsentArguments, Form};
pub use journal::{
    ExportArguments, ExportFormat, FilterArguments, FollowArguments, JournalCommand,
    ListRecordsArguments, PeriodArguments,
};
pub use key::{
    CreateKeysArguments, ImportKeyArguments, KeyArguments, KeyCommand, LevelArgument,
    ListKeysArguments, LockArguments, StateArgument,
};
pub use notify::{ListDeliveriesArguments, NotifyCommand};
pub use owner::{OwnerCommand, RemoveOwnerArguments};
pub use threescale::{
    ExportAccountArguments, ImportArguments, PortalArguments, SyncArguments, TakeArguments,
    ThreescaleArguments, ThreescaleCommand,
};
pub use token::{CreateTokenArguments, ScopeArgument, TokenCommand};

/// Guards an HTTP API: keys, plans, exact write budgets, and a journal of every write.
#[derive(Debug, Parser)]
#[command(
    name = "keystile",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "\
Examples:
  keystile demo
      See it work, with a sample API
  keystile run --upstream http://127.0.0.1:3000
      Guard an API without a configuration file
  keystile init && keystile run
      Write a configuration, then guard what it names
  keystile key create --application reader --plan open
      Issue a key
  keystile journal follow
      Watch writes as they come
  keystile owner link
      Create a link for an owner of the console

Documentation of a command: keystile COMMAND --help"
)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub subcommand: CliCommand,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum CliCommand {
    /// Guard an API.
    Run(RunArguments),
    /// Start a sample API with Keystile in front of it, and some traffic.
    Demo(DemoArguments),
    /// Write a commented configuration file.
    Init(InitArguments),
    /// Check a configuration file for mistakes.
    Check(CheckArguments),
    /// Print the JSON schema of the configuration file.
    Schema,
    #[command(flatten)]
    Store(StoreCommand),
    /// Replace the data directory's store with a backup.
    Restore(RestoreArguments),
    /// Continue without commits that are missing, or without a database that is gone.
    #[command(after_help = "\
The server must not run. Without this command a store is not opened when commits that it had acknowledged are \
missing: keys that were locked could write again. What is left of them is kept in before-loss-1 in the data \
directory, and the audit says what was accepted.

Example:
  keystile accept-loss --data keystile-data")]
    AcceptLoss(CommonArguments),
    #[command(flatten)]
    Paper(PaperCommand),
}

/// What works on a store, or on the server that runs on it.
#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Make the running server read its configuration again.
    #[command(
        after_help = "A file with mistakes changes nothing and is reported with line and column."
    )]
    Reload(CommonArguments),
    /// Show the state of the server.
    Status(CommonArguments),
    /// Create, list, lock and revoke keys.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Create, list, suspend and resume applications.
    #[command(subcommand)]
    Application(ApplicationCommand),
    /// Show the journal of writes.
    #[command(subcommand)]
    Journal(JournalCommand),
    /// Manage who may sign in to the console.
    #[command(subcommand)]
    Owner(OwnerCommand),
    /// Create, list and revoke tokens for the admin API.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Test channels, and show which notifications were sent.
    #[command(subcommand)]
    Notify(NotifyCommand),
    /// Bring keys and plans over from 3scale, and see how it stands.
    #[command(subcommand)]
    Threescale(ThreescaleCommand),
    /// Show the audit: what owners, budgets and tokens did.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Copy the store into a new file, while the server runs, and verify the copy.
    #[command(after_help = "Example:\n  keystile backup /backup/keystile-monday.db")]
    Backup(BackupArguments),
    /// Look for problems, and say what to do about them.
    #[command(after_help = "Exits with 1 when it finds a problem.")]
    Doctor(CommonArguments),
}

impl StoreCommand {
    /// Where its store is.
    pub fn target(&self) -> &TargetArguments {
        match self {
            Self::Reload(common) | Self::Status(common) | Self::Doctor(common) => &common.target,
            Self::Key(command) => &command.common().target,
            Self::Application(command) => &command.common().target,
            Self::Journal(command) => command.target(),
            Self::Owner(command) => &command.common().target,
            Self::Token(command) => &command.common().target,
            Self::Notify(command) => &command.common().target,
            Self::Threescale(command) => &command.common().target,
            Self::Audit(command) => &command.common().target,
            Self::Backup(arguments) => &arguments.common.target,
        }
    }
}

/// What needs no store.
#[derive(Debug, Subcommand)]
pub enum PaperCommand {
    /// Print completions for a shell.
    #[command(after_help = "\
Examples:
  keystile completions bash > /etc/bash_completion.d/keystile
  keystile completions zsh > ~/.zfunc/_keystile
  keystile completions fish > ~/.config/fish/completions/keystile.fish")]
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page, or write all of them.
    #[command(after_help = "\
Examples:
  keystile man | man -l -
  keystile man --dir ~/.local/share/man/man1")]
    Man {
        /// Write the page of every command into this directory.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Print the version.
    Version {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  keystile run --config keystile.toml
  keystile run --upstream http://127.0.0.1:3000
  keystile run --upstream http://127.0.0.1:3000 --observe")]
pub struct RunArguments {
    /// Where configuration and data are.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Guard the API at this address, without a configuration file: one plan, and a first key.
    #[arg(long, value_name = "URL", conflicts_with = "config")]
    pub upstream: Option<String>,
    /// Listen here for the API's callers, instead of where the configuration says; may be repeated.
    #[arg(long, value_name = "ADDR")]
    pub listen: Vec<SocketAddr>,
    /// Listen here for the owner's console, health and metrics, instead of where the configuration says.
    #[arg(long, value_name = "ADDR")]
    pub console: Option<SocketAddr>,
    /// Refuse nothing, journal everything, and say what would have been refused.
    #[arg(long)]
    pub observe: bool,
}

impl RunArguments {
    /// What to run on; with `--upstream` no file is looked for.
    pub fn target(&self) -> Target {
        match self.upstream {
            Some(_) => Target { config: None, data: Some(self.target.resolve_data()) },
            None => self.target.resolve(),
        }
    }
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Listen here for callers [default: 127.0.0.1:7070, or a free port].
    #[arg(long, value_name = "ADDR")]
    pub gate: Option<SocketAddr>,
    /// Listen here for the owner's console, health and metrics [default: 127.0.0.1:7080, or a free port].
    #[arg(long, value_name = "ADDR")]
    pub console: Option<SocketAddr>,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct InitArguments {
    /// The file to write.
    #[arg(value_name = "FILE", default_value = CONFIG_DEFAULT)]
    pub file: PathBuf,
    /// Overwrite the file.
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exits with 1 when the file has mistakes.\n\nExample:\n  keystile check keystile.toml"
)]
pub struct CheckArguments {
    /// The file to check.
    #[arg(
        value_name = "FILE",
        help = "The file to check [default: keystile.toml] [env: KEYSTILE_CONFIG]"
    )]
    pub file: Option<PathBuf>,
    /// The same, under the name that other commands use.
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    pub config: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

impl CheckArguments {
    /// The file to check.
    pub fn path(&self) -> PathBuf {
        let given = self.file.clone().or_else(|| self.config.clone());
        given.or_else(|| Target::of_environment().config).unwrap_or_else(|| CONFIG_DEFAULT.into())
    }
}

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArguments {
    /// The file to write, which must not exist.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
#[command(after_help = "\
The server must not run. What the data directory holds is only replaced with --force.

Example:
  keystile restore /backup/keystile-monday.db --data keystile-data")]
pub struct RestoreArguments {
    /// The backup.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Replace what the data directory holds.
    #[arg(long)]
    pub force: bool,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
