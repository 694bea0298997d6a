//! What the demo prints: readable without color, and at 60 columns.

mod intro;

use clap::builder::styling::{AnsiColor, Style};
use jiff::tz::TimeZone;
use keystile_core::actor::Actor;
use keystile_core::journal::{Outcome, WriteRecord};
use keystile_core::keys::lock::{Lock, LockLevel};
use keystile_core::time::Timestamp;
use keystile_engine::keys::key::KeyView;

use super::traffic::Read;
use super::watch::Standing;
use crate::cli::{Color, Medium, Screen, printable};

/// From so many columns on, lines have room for every word.
const WIDE_COLUMNS: usize = 80;
/// Prose is not wider than this, however wide the terminal is.
const PROSE_COLUMNS: usize = 80;
/// Names and paths of strangers take no more room than this.
const CHARS_MAX: usize = 100;

/// Makes lines for a screen.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    screen: Screen,
    zone: TimeZone,
}

/// What a person needs to know to take part.
#[derive(Clone, Debug)]
pub(super) struct Intro {
    /// The gate's URL.
    pub(super) gate: String,
    /// The sample API's URL.
    pub(super) api: String,
    /// The URL of health and metrics.
    pub(super) health: String,
    /// The link with which one becomes an owner of the console.
    pub(super) console: String,
    /// The configuration file, as a shell takes it.
    pub(super) file: String,
    /// The data directory, as a shell takes it.
    pub(super) data: String,
    /// How this program is called, as a shell takes it.
    pub(super) program: String,
    /// The key that nobody else uses.
    pub(super) key: String,
}

/// What is in one line.
#[derive(Clone, Copy)]
struct Columns<'a> {
    time: Timestamp,
    who: &'a str,
    request: &'a str,
    status: &'a str,
    outcome: Outcome,
    words: &'a str,
    budget: &'a str,
}

impl Lines {
    /// Lines for a screen, with times of a zone.
    pub(super) fn new(screen: Screen, zone: TimeZone) -> Self {
        Self { screen, zone }
    }

    fn width(&self) -> usize {
        self.screen.width.map_or(usize::MAX, usize::from)
    }

    fn paint(&self, style: Style, text: &str) -> String {
        match (self.screen.stdout, self.screen.color) {
            (Medium::Terminal, Color::Wanted) => format!("{style}{text}{style:#}"),
            (Medium::Other, _) | (_, Color::Unwanted) => text.to_owned(),
        }
    }

    /// One line of the journal; two where they do not fit.
    pub(super) fn record(&self, record: &WriteRecord, standing: Option<&Standing>) -> String {
        let who = record.application.as_deref().unwrap_or("unknown");
        let request = format!("{} {}", record.method, record.path);
        let status = record.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
        let budget = standing.map(count).unwrap_or_default();
        let (words, outcome) = (words(record), record.outcome);
        self.line(&Columns {
            time: record.time,
            who,
            request: &request,
            status: &status,
            outcome,
            words: &words,
            budget: &budget,
        })
    }

    /// A read of an application whose key is locked.
    pub(super) fn read(&self, time: Timestamp, read: &Read) -> String {
        let (outcome, words) = if read.status.is_success() {
            (Outcome::Applied, "reads still flow")
        } else {
            (Outcome::Refused, "refused")
        };
        let request = format!("GET {}", read.path);
        let (who, status) = (read.application, read.status.as_str());
        self.line(&Columns { time, who, request: &request, status, outcome, words, budget: "" })
    }

    fn line(&self, columns: &Columns<'_>) -> String {
        let Columns { time, who, request, status, outcome, words, budget } = *columns;
        let (time, who, request) = (self.clock(time), shown(who), shown(request));
        let style = style(outcome);
        if self.width() >= WIDE_COLUMNS {
            let answer = self.paint(style, &format!("{status} {words:<10}"));
            return format!("{time}  {who:<8}  {request:<23}  {answer}  {budget}")
                .trim_end()
                .to_owned()
                + "\n";
        }
        let head = format!("{time} {who:<7} {request:<20} ");
        let tail = match outcome {
            // The status says it all.
            Outcome::Applied if !budget.is_empty() => budget.to_owned(),
            // It took nothing from its budget.
            Outcome::Refused => words.to_owned(),
            _ if budget.is_empty() => words.to_owned(),
            Outcome::Pending
            | Outcome::Applied
            | Outcome::RefusedByUpstream
            | Outcome::NotSent
            | Outcome::Unknown
            | Outcome::HandedOver => {
                format!("{words}, {budget}")
            }
        };
        let answer = self.paint(style, status);
        let length = head.chars().count() + status.len() + 1 + tail.chars().count();
        let separator = if length > self.width() { "\n         " } else { " " };
        format!("{head}{answer}{separator}{tail}\n")
    }

    /// That a key was locked, unlocked or revoked.
    pub(super) fn key(&self, key: &KeyView, intro: &Intro) -> String {
        let name = format!("key {} ({})", printable(&key.prefix), shown(&key.application));
        match (&key.lock, key.state.as_str()) {
            (Some(lock), _) => self.lock(lock, &name, key, intro),
            (None, "active") => {
                let title = self.paint(AnsiColor::Green.on_default().bold(), "UNLOCKED");
                format!("\n{title} {name}\n\n")
            }
            (None, state) => {
                let title = self.paint(AnsiColor::Red.on_default().bold(), &state.to_uppercase());
                format!("\n{title} {name}\n\n")
            }
        }
    }

    fn lock(&self, lock: &Lock, name: &str, key: &KeyView, intro: &Intro) -> String {
        let title = self.paint(AnsiColor::Red.on_default().bold(), "LOCKED");
        let now = match lock.level {
            LockLevel::Writes => "its writes get 403, its reads still flow; the others go on",
            LockLevel::All => "all its calls get 403; the others go on",
        };
        let mut rows = vec![("Why", shown(&lock.reason))];
        match &lock.actor {
            // The reason has named the budget.
            Actor::Budget(_) => {}
            actor @ (Actor::CommandLine(_)
            | Actor::Owner(_)
            | Actor::Token(_)
            | Actor::Link(_)
            | Actor::KeySource(_)
            | Actor::Stranger
            | Actor::System
            | Actor::Time) => {
                rows.push(("By", shown(&actor.to_string())));
            }
        }
        rows.extend(lock.evidence.as_deref().map(|evidence| ("Request", shown(evidence))));
        rows.push(("Now", now.to_owned()));
        rows.extend(lock.until.map(|until| ("Until", self.clock(until))));
        let rows: String = rows
            .iter()
            .map(|(label, text)| self.wrapped(&format!("  {label:<9}"), "           ", text))
            .collect();
        let Intro { program, data, .. } = intro;
        let prefix = printable(&key.prefix);
        // Not wrapped: it is to be pasted.
        format!(
            "\n{title} {name}\n{rows}  Unlock it, and let its budget begin anew:\n    \
             {program} key unlock {prefix} --reset-budget --data {data}\n\n"
        )
    }

    fn prose(&self, text: &str) -> String {
        self.wrapped("", "", text)
    }

    /// A text in lines that fit, the first after `first`, the others after `rest`.
    fn wrapped(&self, first: &str, rest: &str, text: &str) -> String {
        let width = self.width().min(PROSE_COLUMNS);
        let mut lines = first.to_owned();
        let mut used = first.chars().count();
        let mut is_first_word = true;
        for word in text.split(' ') {
            let length = word.chars().count();
            if !is_first_word && used + 1 + length > width {
                lines.push('\n');
                lines.push_str(rest);
                used = rest.chars().count();
            } else if !is_first_word {
                lines.push(' ');
                used += 1;
            }
            lines.push_str(word);
            used += length;
            is_first_word = false;
        }
        lines.push('\n');
        lines
    }

    /// The time of day where the reader is.
    fn clock(&self, time: Timestamp) -> String {
        match jiff::Timestamp::from_millisecond(time.0) {
            Ok(time) => time.to_zoned_datetime(self.zone.clone()).strftime("%H:%M:%S").to_string(),
            Err(_) => "--:--:--".to_owned(),
        }
    }
}

/// As in `12/20 this minute`.
fn count(Standing { used, quota }: &Standing) -> String {
    let (amount, window) = quota.split_once(" per ").unwrap_or((quota, ""));
    let window = window.trim_end_matches(" calendar");
    let which = if window.contains(' ') { "in" } else { "this" };
    format!("{used}/{amount} {which} {window}")
}

/// The outcome in words; why, where Keystile refused it, with how many requests the record stands for.
fn words(record: &WriteRecord) -> String {
    let name = record.outcome.name().replace('_', " ");
    let mut words = match (record.outcome, record.reason) {
        (Outcome::Refused, Some(reason)) => reason.name().replace('_', " "),
        (_, Some(reason)) => format!("{name}, would be refused: {reason}"),
        (_, None) => name,
    };
    if record.count > 1 {
        words = format!("{words} ×{}", record.count);
    }
    words
}

/// A text from outside, safe and not too long.
fn shown(text: &str) -> String {
    let cut = match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    };
    printable(&cut).into_owned()
}

fn style(outcome: Outcome) -> Style {
    match outcome {
        Outcome::Applied => AnsiColor::Green.on_default(),
        Outcome::HandedOver => Style::new(),
        Outcome::Pending | Outcome::NotSent => Style::new().dimmed(),
        Outcome::RefusedByUpstream | Outcome::Unknown => AnsiColor::Yellow.on_default(),
        Outcome::Refused => AnsiColor::Red.on_default(),
    }
}

#[cfg(test)]
mod tests;
