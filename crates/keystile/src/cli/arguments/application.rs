//! Arguments of `application`.

use clap::{Args, Subcommand};

use super::form::CommonArguments;

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
    /// Move an application to another plan, with those of its keys that are on its current one.
    #[command(after_help = "\
A key that was put on a plan of its own keeps it. What the keys wrote before counts in the budgets of
the new plan.

Example:
  keystile application change reader --plan trusted")]
    Change {
        /// The application.
        #[command(flatten)]
        application: ApplicationArguments,
        /// The plan.
        #[arg(long, value_name = "PLAN")]
        plan: String,
    },
    /// Attach a note to an application; an empty note removes it.
    Note {
        /// The application.
        #[command(flatten)]
        application: ApplicationArguments,
        /// The note.
        #[arg(value_name = "TEXT")]
        note: String,
    },
    /// Unlock an application that went over a budget which its keys share, and with it all of its keys.
    #[command(after_help = "\
What was counted stays counted: where a budget is used up, the next write of any of its keys locks it again.
A key that carries a lock of its own keeps it: `keystile key unlock`.")]
    Unlock {
        /// The application.
        #[command(flatten)]
        application: ApplicationArguments,
        /// Reset the write budgets that its keys share; they can then write more than the plan says.
        #[arg(long)]
        reset_budget: bool,
    },
    /// Stop all calls of an application.
    Suspend(ApplicationArguments),
    /// Allow an application's calls again.
    Resume(ApplicationArguments),
}

impl ApplicationCommand {
    pub(super) fn common(&self) -> &CommonArguments {
        match self {
            Self::Create { common, .. } | Self::List(common) => common,
            Self::Change { application, .. }
            | Self::Note { application, .. }
            | Self::Unlock { application, .. } => &application.common,
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
