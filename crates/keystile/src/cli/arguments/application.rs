//! Arguments of `application`.

use clap::{Args, Subcommand};

use super::CommonArguments;

/// What to do with applications.
#[derive(Debug, Subcommand)]
pub enum ApplicationCommand {
    /// Create an application without a key.
    Create {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
        /// The plan of its keys.
        #[arg(long, value_name = "PLAN")]
        plan: String,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
    /// List applications by name.
    List(CommonArguments),
    /// Show an application with its keys.
    Show(ApplicationArguments),
    /// Stop all calls of an application.
    Suspend(ApplicationArguments),
    /// Let an application call again.
    Resume(ApplicationArguments),
}

impl ApplicationCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Create { common, .. } | Self::List(common) => common,
            Self::Show(arguments) | Self::Suspend(arguments) | Self::Resume(arguments) => {
                &arguments.common
            }
        }
    }
}

/// An application.
#[derive(Debug, Args)]
pub struct ApplicationArguments {
    /// Its name or id.
    #[arg(value_name = "APPLICATION")]
    pub application: String,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}
