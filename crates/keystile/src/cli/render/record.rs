//! Records of the journal for people.

use clap::builder::styling::{AnsiColor, Style};
use keystile_core::journal::{Outcome, WriteRecord};

use super::super::session::{Color, Medium, Screen};
use super::super::when::{exact_and_relative, relative};
use super::listing::{Cell, Column, Listing, Tone, details};
use keystile_core::text::printable;

const COLUMNS: &[Column] = &[
    Column::new("RECORD").whole(),
    Column::new("WHEN").whole(),
    Column::new("REQUEST"),
    Column::new("APPLICATION").from(80),
    Column::new("FROM").from(120),
    Column::new("STATUS").from(80).whole(),
    Column::new("OUTCOME"),
];

/// A list of records.
pub(crate) fn records(records: &[WriteRecord], screen: &Screen) -> String {
    let row = |record: &WriteRecord| {
        vec![
            Cell::new(record.id.to_string()),
            Cell::new(relative(record.time, screen.now)),
            Cell::listed(&format!("{} {}", record.method, record.path), screen),
            Cell::listed(record.application.as_deref().unwrap_or("-"), screen),
            Cell::new(&record.address),
            Cell::new(record.status.map_or_else(|| "-".to_owned(), |status| status.to_string())),
            Cell::new(outcome(record)).tone(tone(record.outcome)),
        ]
    };
    Listing { columns: COLUMNS, rows: records.iter().map(row).collect() }.render(screen)
}

/// All that is on record of one write.
pub(crate) fn record(record: &WriteRecord, screen: &Screen) -> String {
    let text = |text: &Option<String>| Cell::new(text.as_deref().unwrap_or("-"));
    let number = |number: Option<u64>, unit: &str| {
        Cell::new(
            number.map_or_else(|| "not known".to_owned(), |number| format!("{number} {unit}")),
        )
    };
    let status =
        record.status.map_or_else(|| "nobody was answered".to_owned(), |status| status.to_string());
    let mut rows = vec![
        ("Record", Cell::new(record.id.to_string())),
        ("Time", Cell::new(exact_and_relative(record.time, screen.now))),
        ("Outcome", Cell::new(outcome(record)).tone(tone(record.outcome))),
        ("Request", Cell::new(format!("{} {}", record.method, record.path))),
        ("API", Cell::new(&record.api)),
        ("Operation", Cell::new(&record.operation)),
        ("Application", text(&record.application)),
        ("Key", text(&record.key)),
        ("Plan", text(&record.plan)),
        ("From", Cell::new(&record.address)),
        ("User agent", text(&record.user_agent)),
        ("Status", Cell::new(status)),
        ("Took", number(record.duration_ms, "ms")),
        ("Request body", number(record.request_bytes, "bytes")),
        ("Answer body", number(record.response_bytes, "bytes")),
        ("Cost", Cell::new(record.cost.to_string())),
    ];
    if let Some(reason) = record.reason {
        rows.push(("Why", Cell::new(reason.owner_text())));
    }
    details(screen, &rows)
}

/// One line of a journal that is followed.
pub(crate) fn follow_line(record: &WriteRecord, screen: &Screen) -> String {
    let style = match (screen.stdout, screen.color) {
        (Medium::Terminal, Color::Wanted) => style(tone(record.outcome)),
        (Medium::Other, _) | (_, Color::Unwanted) => Style::new(),
    };
    let status = record.status.map_or_else(|| "-".to_owned(), |status| status.to_string());
    let who = record.application.as_deref().map_or_else(String::new, |name| format!("{name} at "));
    format!(
        "{time}  {id}  {style}{outcome}{style:#}  {status}  {request}  {who}{address}",
        time = record.time.readable(),
        id = record.id,
        outcome = outcome(record),
        request = printable(&format!("{} {}", record.method, record.path)),
        who = printable(&who),
        address = printable(&record.address),
    )
}

/// The outcome in words, with the reason of a refusal and how many requests the record stands for.
fn outcome(record: &WriteRecord) -> String {
    let mut text = record.outcome.name().replace('_', " ");
    match (record.reason, record.outcome) {
        (Some(reason), Outcome::Refused) => text = format!("{text}: {reason}"),
        // Its API is only observed.
        (Some(reason), _) => text = format!("{text}, would be refused: {reason}"),
        (None, _) => {}
    }
    if record.count > 1 {
        text = format!("{text} ×{}", record.count);
    }
    text
}

fn tone(outcome: Outcome) -> Tone {
    match outcome {
        Outcome::Applied => Tone::Good,
        Outcome::HandedOver => Tone::Plain,
        Outcome::Pending | Outcome::NotSent => Tone::Faint,
        Outcome::RefusedByUpstream | Outcome::Unknown => Tone::Warning,
        Outcome::Refused => Tone::Bad,
    }
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warning => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Faint => Style::new().dimmed(),
    }
}
