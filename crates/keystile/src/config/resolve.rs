//! From the raw file to parsed types. Every value is looked at, whatever is wrong with the others.

mod api;
mod channel;
mod credential;
mod gate;
mod operation;
mod overlap;
mod pattern;
mod plan;
mod setting;
mod threescale;
mod threescale_account;
mod threescale_usage;
mod upstream;
mod watch;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http::Method;
use jiff::tz::TimeZone;
use keystile_core::keys::text::KeyPrefix;
use keystile_core::policy::{PlanSpec, Policy};
use keystile_core::time::Span;

use super::addresses::{Addresses, CommandLine};
use super::diagnostic::{Diagnostic, Place, Report, Severity, Source};
use super::path::{Lost, Step};
use super::raw;
use super::read::{PROBLEMS_MAX, Reading};
use super::resolved::{Configuration, JournalSettings};
use super::suggest::closest;
use super::value::Spanned;

pub(super) const DATA: &str = "keystile-data";

/// Collects what is wrong while values are parsed. A wrong value is reported and replaced by its
/// default, so that the values that depend on it are looked at too; the result is thrown away at
/// the end.
struct Resolver<'a> {
    source: Arc<Source>,
    base: &'a Path,
    problems: Vec<Diagnostic>,
    lost: Vec<Lost>,
    is_broken: bool,
    /// What replaces values of the file.
    command_line: CommandLine,
    /// The methods that pass the gate.
    methods: Vec<Method>,
    /// The APIs that rules can name, with the path that belongs to each.
    names: BTreeMap<String, String>,
}

/// Resolves what was read of a source; relative paths start at `base`.
pub(super) fn resolve(
    source: &Arc<Source>,
    reading: Reading,
    base: &Path,
    addresses: &Addresses,
) -> Result<Configuration, Report> {
    let Reading { file, problems, lost, is_broken } = reading;
    let Some(mut file) = file else {
        return Err(report(problems));
    };
    let command_line = CommandLine::write_into(addresses, &mut file, source);
    let (methods, names) = (Vec::new(), BTreeMap::new());
    let of_form = problems.len();
    let mut resolver = Resolver {
        source: Arc::clone(source),
        base,
        problems,
        lost,
        is_broken,
        command_line,
        methods,
        names,
    };
    let mut configuration = resolver.file(&file);
    let mut problems = resolver.problems;
    // Of a line that is not TOML, what its values say is a guess.
    if is_broken {
        let lines: Vec<_> = problems[..of_form].iter().map(Diagnostic::line).collect();
        let mut place = 0;
        problems.retain(|problem| {
            place += 1;
            place <= of_form || !lines.contains(&problem.line())
        });
    }
    if problems.iter().any(|problem| problem.severity() == Severity::Error) {
        return Err(report(problems));
    }
    configuration.warnings = report(problems).problems().to_vec();
    Ok(configuration)
}

/// The findings in the order of the file, those about the file as a whole last.
fn report(mut problems: Vec<Diagnostic>) -> Report {
    problems.sort_by_key(|problem| problem.place().map_or(usize::MAX, |place| place.start));
    problems.truncate(PROBLEMS_MAX);
    Report::new(problems)
}

impl Resolver<'_> {
    fn error(&mut self, place: &Place, message: impl Into<String>) -> &mut Diagnostic {
        self.problem(Some(place.clone()), message.into())
    }

    fn warning(&mut self, place: &Place, message: impl Into<String>) -> &mut Diagnostic {
        self.problem(Some(place.clone()), message.into()).warn()
    }

    fn problem(&mut self, place: Option<Place>, message: String) -> &mut Diagnostic {
        let told = place.as_ref().and_then(|place| self.command_line.finding(place, &message));
        let problem = told.unwrap_or_else(|| Diagnostic::new(&self.source, place, message));
        self.problems.push(problem);
        self.problems.last_mut().expect("one was just added")
    }

    /// Reports a key that a table lacks, unless it was written there in a way that could not be
    /// read.
    fn missing(&mut self, table: &Place, key: &str, message: &str, example: &str) {
        let after = self.source.text().get(table.end..).unwrap_or_default();
        // The place of a table under a header is the header; the table goes on until the next one.
        let is_header = self.source.at(table).starts_with('[');
        let rest = if is_header { after.find("\n[").unwrap_or(after.len()) } else { 0 };
        let whole = table.start..table.end + rest;
        let is_it = |lost: &Lost| {
            let is_here = whole.start <= lost.key_place.start && lost.key_place.end <= whole.end;
            is_here && matches!(lost.path.last(), Some(Step::Key(name)) if name == key)
        };
        if !self.is_broken && !self.lost.iter().any(is_it) {
            self.error(table, message).help(format!("write it as in {example}"));
        }
    }

    /// Whether something at a path was written and already reported, so that it is not missing.
    fn is_lost(&self, path: &[&str]) -> bool {
        let is_there = |lost: &Lost| {
            lost.path
                .iter()
                .zip(path)
                .all(|(step, key)| matches!(step, Step::Key(name) if name == key))
        };
        self.is_broken || self.lost.iter().any(is_there)
    }

    fn file(&mut self, file: &raw::File) -> Configuration {
        let gate = self.gate(&file.gate);
        let console = self.console(&file.console, &file.gate, &gate.listen);
        let time_zone = self.time_zone(file.time_zone.as_ref());
        let keys = self.key_prefix(&file.keys);
        let mut apis = self.apis(&file.api, &gate.listen);
        for api in &mut apis {
            api.credential.prefix = keys.clone();
        }
        let plans = self.plans(&file.plan);
        let taken: Vec<_> = gate.listen.iter().copied().chain([console.listen]).collect();
        let threescale_backend = file.threescale_backend.as_ref();
        let threescale_backend =
            threescale_backend.map(|backend| self.threescale_backend(backend, &taken, &plans));
        let watching = self.watching(file, &plans, time_zone.clone());
        let threescale = self.threescale(&file.threescale, &plans);
        let retention = self.retention(&file.journal, &plans);
        Configuration {
            data: self.base.join(file.data.as_ref().map_or(DATA, |data| self.data(data))),
            store_timeout: self.store_timeout(file.store_timeout.as_ref()),
            gate,
            console,
            threescale_backend,
            policy: Policy::new(apis, plans, time_zone),
            observes_all: false,
            watching: Arc::new(watching),
            keys,
            journal: JournalSettings { retention },
            threescale,
            warnings: Vec::new(),
        }
    }

    fn data<'s>(&mut self, data: &'s Spanned<String>) -> &'s str {
        if data.value.is_empty() {
            self.error(&data.place, "`data` is empty")
                .help(format!("name a folder, as in data = {DATA:?}"));
        }
        &data.value
    }

    fn store_timeout(&mut self, setting: Option<&Spanned<String>>) -> Span {
        let least = Span::from_millis(100).expect("it is more than nothing");
        let span = self.span(setting, Span::from_secs(5), Span::from_secs(60));
        if let Some(setting) = setting
            && span < least
        {
            self.error(&setting.place, "`store_timeout` is at least \"100 ms\"")
                .help("a healthy disk takes up to some tens of milliseconds");
        }
        span
    }

    fn time_zone(&mut self, name: Option<&Spanned<String>>) -> TimeZone {
        let Some(name) = name.filter(|name| name.value != "UTC") else {
            return TimeZone::UTC;
        };
        TimeZone::get(&name.value).unwrap_or_else(|_| {
            let known: Vec<_> =
                jiff::tz::db().available().map(|name| name.as_str().to_owned()).collect();
            let help = match closest(&name.value, known.iter().map(String::as_str)) {
                Some(meant) => format!("did you mean {meant:?}?"),
                None if known.is_empty() => {
                    "this machine has no time zone database: install the package tzdata".to_owned()
                }
                None => "write a name of the IANA database, as in \"Europe/Berlin\" or \"UTC\""
                    .to_owned(),
            };
            self.error(&name.place, format!("there is no time zone {:?}", name.value)).help(help);
            TimeZone::UTC
        })
    }

    fn key_prefix(&mut self, keys: &raw::Keys) -> KeyPrefix {
        let Some(prefix) = &keys.prefix else {
            return KeyPrefix::default();
        };
        prefix.value.parse().unwrap_or_else(|error| {
            self.error(&prefix.place, format!("{error}"));
            KeyPrefix::default()
        })
    }

    /// Budgets are counted from the journal after a restart, so it reaches back as far as they do.
    fn retention(&mut self, journal: &raw::Journal, plans: &[PlanSpec]) -> Option<Span> {
        let setting = journal.retention.as_ref()?;
        let retention = self.parsed_span(setting)?;
        let longest = plans
            .iter()
            .flat_map(|plan| plan.write_budgets.iter().map(move |budget| (plan, budget.quota)))
            .max_by_key(|(_, quota)| quota.window.span_max());
        if let Some((plan, quota)) = longest
            && quota.window.span_max() > retention
        {
            let message = format!(
                "the journal would forget writes that the budget \"{quota}\" of plan `{}` still counts",
                plan.name,
            );
            let least = quota.window.span_max();
            self.error(&setting.place, message)
                .help(format!("keep it for at least {least:?}", least = least.to_string()));
        }
        Some(retention)
    }
}
