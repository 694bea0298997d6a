//! What every command on a store takes: where that is, and in which form to answer.

use clap::Args;

use super::super::target::TargetArguments;

/// How data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Form {
    /// What the `--json` flag says.
    pub fn of_flag(json: bool) -> Self {
        if json { Self::Json } else { Self::Text }
    }
}

/// What every command on a store takes.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
pub struct CommonArguments {
    /// Where to find the store.
    #[command(flatten)]
    pub target: TargetArguments,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What a command takes that cannot be undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Args)]
pub struct ConsentArguments {
    /// Do not ask; needed where nobody can be asked, as in a script.
    #[arg(long, short)]
    pub yes: bool,
}

impl CommonArguments {
    /// How to print.
    pub fn form(&self) -> Form {
        Form::of_flag(self.json)
    }
}
