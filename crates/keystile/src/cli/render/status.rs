//! The server's state, and what `doctor` found, for people.

use indicatif::{HumanBytes, HumanCount};
use keystile_engine::findings::{Finding, FindingLevel};
use keystile_engine::keys::source_finding::SourceStatus;
use keystile_engine::status::{ApiView, StatusView};

use super::super::session::Screen;
use super::super::when::exact_and_relative;
use super::listing::{Cell, Column, Listing, Tone, details, section};

const API_COLUMNS: &[Column] =
    &[Column::new("API"), Column::new("MODE").whole(), Column::new("UPSTREAM")];
const FINDING_COLUMNS: &[Column] =
    &[Column::new("LEVEL").whole(), Column::new("WHAT"), Column::new("FINDING")];

/// How the server is.
pub(crate) fn status(status: &StatusView, screen: &Screen) -> String {
    let mut rows = vec![("Server", server(status, screen))];
    if !status.gate.is_empty() {
        rows.push(("Gate", Cell::new(status.gate.join(", "))));
    }
    if let Some(console) = &status.console {
        rows.push(("Console", Cell::new(console)));
    }
    let counts = status.keys;
    rows.extend([
        ("Data", Cell::new(status.data.to_string_lossy())),
        ("Policy", Cell::new(&status.policy)),
        ("Plans", Cell::new(status.plans.join(", "))),
        (
            "Keys",
            Cell::new(format!(
                "{} active, {} locked, {} revoked",
                counts.active, counts.locked, counts.revoked
            )),
        ),
        ("Journal", Cell::new(journal(status))),
        ("Store", Cell::new(format!("{}, {}", status.store, HumanBytes(status.store_bytes)))),
    ]);
    rows.extend(status.sources.iter().map(|source| ("Source", self::source(source, screen))));
    let mut page = details(screen, &rows);
    if !status.apis.is_empty() {
        page.push_str(&section("APIs", &apis(&status.apis, screen)));
    }
    page
}

fn server(status: &StatusView, screen: &Screen) -> Cell {
    let version = &status.version;
    match (status.running, status.started) {
        (true, Some(started)) => {
            let since = exact_and_relative(started, screen.now);
            Cell::new(format!("running since {since}, version {version}")).tone(Tone::Good)
        }
        (true, None) => Cell::new(format!("running, version {version}")).tone(Tone::Good),
        (false, _) => Cell::new("not running; this was read from the store").tone(Tone::Warning),
    }
}

fn source(source: &SourceStatus, screen: &Screen) -> Cell {
    let SourceStatus { name, synchronized, problem, differences } = source;
    let differences = match differences {
        0 => String::new(),
        count => format!("; differences: {count}"),
    };
    match (problem, synchronized) {
        (Some(problem), _) => Cell::new(format!("{name}: {problem}{differences}")).tone(Tone::Bad),
        (None, None) => Cell::new(format!("{name}: not read yet")).tone(Tone::Warning),
        (None, Some(time)) => {
            let read = exact_and_relative(*time, screen.now);
            Cell::new(format!("{name}: read at {read}{differences}"))
        }
    }
}

fn journal(status: &StatusView) -> String {
    let (records, writes) = (HumanCount(status.records), HumanCount(status.writes_today));
    format!("{records} records, {writes} writes in the last 24 hours")
}

fn apis(apis: &[ApiView], screen: &Screen) -> String {
    let row = |api: &ApiView| {
        let tone = if api.mode == "enforce" { Tone::Plain } else { Tone::Warning };
        vec![
            Cell::new(&api.name),
            Cell::new(&api.mode).tone(tone),
            Cell::new(api.upstream.join(", ")),
        ]
    };
    Listing { columns: API_COLUMNS, rows: apis.iter().map(row).collect() }.render(screen)
}

/// What was looked at, worst last, where the eye rests.
pub(crate) fn findings(findings: &[Finding], screen: &Screen) -> String {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| finding.level);
    let row = |finding: &&Finding| {
        let (word, tone) = match finding.level {
            FindingLevel::Good => ("good", Tone::Good),
            FindingLevel::Warning => ("warning", Tone::Warning),
            FindingLevel::Problem => ("problem", Tone::Bad),
        };
        vec![Cell::new(word).tone(tone), Cell::new(&finding.subject), found(finding, screen)]
    };
    Listing { columns: FINDING_COLUMNS, rows: sorted.iter().map(row).collect() }.render(screen)
}

/// What was found and what to do about it: below each other for people, on one line for programs.
fn found(finding: &Finding, screen: &Screen) -> Cell {
    let Finding { message, help, .. } = finding;
    match (help, screen.width) {
        (None, Some(_)) => Cell::lines(message),
        (Some(help), Some(_)) => Cell::lines(&format!("{message}\nHelp: {help}")),
        (None, None) => Cell::new(message),
        (Some(help), None) => Cell::new(format!("{message}; help: {help}")),
    }
}
