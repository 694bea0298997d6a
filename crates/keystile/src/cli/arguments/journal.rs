//! Arguments of `journal`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use clap::{Args, Subcommand, ValueEnum};
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::time::Timestamp;
use keystile_engine::journal::{Order, RecordFilter};

use super::super::target::TargetArguments;
use super::super::when::When;
use super::form::CommonArguments;

/// What to do with the journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// List writes and refusals, latest first.
    #[command(after_help = "\
Examples:
  keystile journal list --since 2h --outcome applied
  keystile journal list --key ks_4fGh2kQz --method DELETE --json")]
    List(ListRecordsArguments),
    /// Show one record.
    Show {
        /// Its id.
        #[arg(value_name = "ID", help = "Its id, as in write_123")]
        record: RecordId,
        /// What every command takes.
        #[command(flatten)]
        common: CommonArguments,
    },
    /// Print writes and refusals as they come, until Ctrl-C.
    #[command(after_help = "\
A write is printed when its outcome is known. One that takes longer than 2 seconds is printed as
pending, and again with its outcome. With --json, each is a JSON object on a line of its own.")]
    Follow(FollowArguments),
    /// Export records, earliest first.
    #[command(after_help = "\
In CSV, a cell that a spreadsheet would take for a formula gets a ' in front, and control
characters are written as \\u{..}. JSON lines keep every value as it is.

Example:
  keystile journal export --format csv --since \"7 days\" --output writes.csv")]
    Export(ExportArguments),
}

impl JournalCommand {
    pub(super) fn target(&self) -> &TargetArguments {
        match self {
            Self::List(arguments) => &arguments.common.target,
            Self::Show { common, .. } => &common.target,
            Self::Follow(arguments) => &arguments.common.target,
            Self::Export(arguments) => &arguments.target,
        }
    }
}

/// Which records.
#[derive(Clone, Debug, Default, Args)]
pub struct FilterArguments {
    /// Only writes of this key: its id, its prefix, or the key itself.
    #[arg(long, value_name = "KEY", help_heading = "Filters")]
    pub key: Option<String>,
    /// Only writes of this application.
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub application: Option<String>,
    /// Only writes to this API.
    #[arg(long, value_name = "API", help_heading = "Filters")]
    pub api: Option<String>,
    /// Only this operation, as in "DELETE /bookmarks/{id}".
    #[arg(long, value_name = "OPERATION", help_heading = "Filters")]
    pub operation: Option<String>,
    /// Only this method.
    #[arg(long, value_name = "METHOD", help_heading = "Filters", value_parser = method_parser())]
    pub method: Option<String>,
    /// Only from this address.
    #[arg(long, value_name = "ADDR", help_heading = "Filters")]
    pub address: Option<IpAddr>,
    /// Only writes that ended so.
    #[arg(long, value_name = "OUTCOME", help = OUTCOMES, help_heading = "Filters", value_parser = outcome_parser())]
    pub outcome: Option<Outcome>,
}

/// When records were made.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct PeriodArguments {
    /// Only at or after this time: 2026-11-24T05:30:00Z, 2026-11-24, or "2h" and "1 day" ago.
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    pub since: Option<When>,
    /// Only before this time, written the same way.
    #[arg(long, value_name = "TIME", help_heading = "Filters")]
    pub until: Option<When>,
}

impl PeriodArguments {
    /// What is wrong where the period ends before it begins.
    pub fn mistake(self, now: Timestamp) -> Option<String> {
        let (since, until) = (self.since?.resolve(now), self.until?.resolve(now));
        (since >= until).then(|| {
            let (since, until) = (since.readable(), until.readable());
            format!("--since {since} is not before --until {until}, so nothing can match")
        })
    }
}

impl FilterArguments {
    /// The engine's filter.
    pub fn resolve(&self, period: PeriodArguments, now: Timestamp, order: Order) -> RecordFilter {
        RecordFilter {
            key: self.key.clone(),
            application: self.application.clone(),
            api: self.api.clone(),
            operation: self.operation.clone(),
            method: self.method.clone(),
            address: self.address.map(|address| address.to_canonical().to_string()),
            outcome: self.outcome,
            since: period.since.map(|when| when.resolve(now)),
            until: period.until.map(|when| when.resolve(now)),
            order,
            limit: 0,
        }
    }
}

/// Arguments of `journal list`.
#[derive(Debug, Args)]
pub struct ListRecordsArguments {
    /// Which records.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// When they were made.
    #[command(flatten)]
    pub period: PeriodArguments,
    /// At most this many [default: 100; 1000 with --json].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// Only records before this one.
    #[arg(long, value_name = "ID")]
    pub before: Option<RecordId>,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `journal follow`.
#[derive(Debug, Args)]
pub struct FollowArguments {
    /// Which records.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// What every command takes.
    #[command(flatten)]
    pub common: CommonArguments,
}

/// Arguments of `journal export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// What to write.
    #[arg(long, value_enum, default_value = "jsonl")]
    pub format: ExportFormat,
    /// Write to this new file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Overwrite the file.
    #[arg(long, requires = "output")]
    pub force: bool,
    /// Which records.
    #[command(flatten)]
    pub filter: FilterArguments,
    /// When they were made.
    #[command(flatten)]
    pub period: PeriodArguments,
    /// Where to find the store.
    #[command(flatten)]
    pub target: TargetArguments,
}

/// The form of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values with a header line.
    Csv,
}

const OUTCOMES: &str = "Only writes with this outcome: pending, applied, refused_by_upstream, not_sent, unknown, refused or handed_over";

fn outcome_parser() -> impl TypedValueParser<Value = Outcome> {
    // Not a list of possible values to clap, whose tip for `failed` would be `applied`.
    NonEmptyStringValueParser::new().try_map(|name| {
        let names = Outcome::ALL.map(Outcome::name).join(", ");
        name.parse::<Outcome>().map_err(|_| format!("an outcome is one of {names}"))
    })
}

fn method_parser() -> impl TypedValueParser<Value = String> {
    NonEmptyStringValueParser::new().map(|method| method.to_ascii_uppercase())
}
