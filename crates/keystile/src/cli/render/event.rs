//! Events for people.

use keystile_core::audit::AuditEvent;
use keystile_engine::audit::AuditReport;

use super::super::session::Screen;
use super::listing::{Cell, Column, Listing, Tone, details};

const COLUMNS: &[Column] = &[
    Column::new("NUMBER").from(100).whole(),
    Column::new("WHEN"),
    Column::new("WHAT"),
    Column::new("ABOUT"),
    Column::new("BY"),
    Column::new("DETAIL"),
];

/// A list of events.
pub(crate) fn events(events: &[AuditEvent], screen: &Screen) -> String {
    let row = |event: &AuditEvent| {
        let about = event.subject.as_deref().or(event.application.as_deref());
        vec![
            Cell::new(event.id.to_string()),
            Cell::new(event.time.readable()),
            Cell::new(event.kind.replace('_', " ")),
            Cell::listed(about.unwrap_or_default(), screen),
            Cell::listed(&event.actor.to_string(), screen),
            Cell::listed(&event.detail, screen),
        ]
    };
    Listing { columns: COLUMNS, rows: events.iter().map(row).collect() }.render(screen)
}

/// What came of looking through the audit.
pub(crate) fn audit(report: &AuditReport, screen: &Screen) -> String {
    let state = match &report.fault {
        None => Cell::new("whole").tone(Tone::Good),
        Some(fault) => Cell::new(format!("broken: {}", fault.problem)).tone(Tone::Bad),
    };
    let mut rows = vec![
        ("Audit", state),
        ("Events", Cell::new(report.count.to_string())),
        ("Head", Cell::new(&report.head)),
    ];
    if report.older > 0 {
        rows.push(("Older", Cell::new(format!("{}, from before there was a chain", report.older))));
    }
    details(screen, &rows)
}
