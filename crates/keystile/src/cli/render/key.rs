//! Keys for people.

use keystile_core::audit::AuditEvent;
use keystile_core::keys::lock::{Lock, LockTarget};
use keystile_core::time::Timestamp;
use keystile_engine::keys::key::{BudgetView, KeyDetails, KeyView};

use super::super::session::Screen;
use super::super::when::{exact_and_relative, relative};
use super::listing::{Cell, Column, Listing, Tone, details, section};

const KEY_COLUMNS: &[Column] = &[
    Column::new("KEY").whole(),
    Column::new("APPLICATION"),
    Column::new("PLAN").from(80),
    Column::new("STATE"),
    Column::new("LAST WRITE").whole(),
    Column::new("CREATED").from(80).whole(),
    Column::new("ID").from(140).whole(),
];

const BUDGET_COLUMNS: &[Column] = &[
    Column::new("BUDGET"),
    Column::new("QUOTA"),
    Column::new("PER").from(80),
    Column::new("USED").whole(),
    Column::new("LEFT").whole(),
    Column::new("FREES"),
];

const EVENT_COLUMNS: &[Column] =
    &[Column::new("WHEN"), Column::new("WHAT"), Column::new("BY"), Column::new("DETAIL")];

/// A list of keys.
pub(crate) fn keys(keys: &[KeyView], screen: &Screen) -> String {
    let row = |key: &KeyView| {
        vec![
            shown(key),
            Cell::listed(&key.application, screen),
            Cell::listed(&key.plan, screen),
            state(key, screen.now),
            Cell::relative(key.last_write, screen.now),
            Cell::new(relative(key.created, screen.now)),
            Cell::new(&key.id),
        ]
    };
    Listing { columns: KEY_COLUMNS, rows: keys.iter().map(row).collect() }.render(screen)
}

/// A key with its budgets and what happened to it.
pub(crate) fn key(details_of: &KeyDetails, screen: &Screen) -> String {
    let KeyDetails { key, budgets, events } = details_of;
    let now = screen.now;
    let mut rows = vec![
        ("Id", Cell::new(&key.id)),
        (if key.origin.is_none() { "Begins with" } else { "Shown as" }, Cell::new(&key.prefix)),
        ("Application", Cell::new(&key.application)),
        ("Plan", Cell::new(&key.plan)),
        ("State", state(key, now)),
    ];
    rows.extend(key.origin.iter().map(|origin| ("Imported from", Cell::new(origin))));
    rows.extend(key.note.iter().map(|note| ("Note", Cell::lines(note))));
    rows.extend(key.lock.iter().flat_map(|lock| lock_rows(lock, now)));
    match (key.expires, key.state.as_str()) {
        // It may have been revoked before its grace was over.
        (None, _) | (Some(_), "revoked") => {}
        (Some(expires), _) => {
            rows.push(("Works until", Cell::new(exact_and_relative(expires, now))));
        }
    }
    rows.push(("Created", Cell::new(exact_and_relative(key.created, now))));
    rows.push(("Last write", Cell::exact(key.last_write, now)));
    let mut page = details(screen, &rows);
    if !budgets.is_empty() {
        page.push_str(&section("Write budgets", &budget_table(budgets, screen)));
    }
    if !events.is_empty() {
        page.push_str(&section("History", &event_table(events, screen)));
    }
    page
}

/// What tells it from other keys; of what another system issued that may be little.
fn shown(key: &KeyView) -> Cell {
    match key.origin {
        None => Cell::new(&key.prefix),
        Some(_) => Cell::new(format!("{} (imported)", key.prefix)),
    }
}

pub(super) fn lock_rows(lock: &Lock, now: Timestamp) -> Vec<(&'static str, Cell)> {
    let until = lock
        .until
        .map_or_else(|| "it is unlocked".to_owned(), |until| exact_and_relative(until, now));
    let shared = (lock.on == LockTarget::Application).then_some("all keys of the application");
    let mut rows: Vec<_> = shared.into_iter().map(|on| ("  On", Cell::new(on))).collect();
    rows.extend([
        ("  Reason", Cell::new(&lock.reason)),
        ("  By", Cell::new(lock.actor.to_string())),
        ("  Since", Cell::new(exact_and_relative(lock.since, now))),
        ("  Until", Cell::new(until)),
    ]);
    if let Some(evidence) = &lock.evidence {
        rows.push(("  Request", Cell::new(evidence)));
    }
    rows
}

fn state(key: &KeyView, now: Timestamp) -> Cell {
    match (&key.lock, key.state.as_str()) {
        (Some(lock), "locked") => Cell::new(format!("locked ({})", lock.level)).tone(Tone::Bad),
        (_, "active") => match key.expires {
            Some(expires) => {
                Cell::new(format!("active, ends {}", relative(expires, now))).tone(Tone::Warning)
            }
            None => Cell::new("active").tone(Tone::Good),
        },
        (_, "locked") => Cell::new("locked").tone(Tone::Bad),
        (_, other) => Cell::new(other).tone(Tone::Faint),
    }
}

pub(super) fn budget_table(budgets: &[BudgetView], screen: &Screen) -> String {
    let row = |budget: &BudgetView| {
        let tone = if budget.remaining == 0 { Tone::Bad } else { Tone::Plain };
        let frees = budget.frees_at.map_or_else(String::new, |time| relative(time, screen.now));
        vec![
            Cell::new(&budget.name),
            Cell::new(&budget.quota),
            Cell::new(budget.per.name()),
            Cell::new(budget.used.to_string()),
            Cell::new(budget.remaining.to_string()).tone(tone),
            Cell::new(frees),
        ]
    };
    Listing { columns: BUDGET_COLUMNS, rows: budgets.iter().map(row).collect() }.render(screen)
}

fn event_table(events: &[AuditEvent], screen: &Screen) -> String {
    let row = |event: &AuditEvent| {
        vec![
            Cell::new(event.time.readable()),
            Cell::new(event.kind.replace('_', " ")),
            Cell::new(event.actor.to_string()),
            Cell::new(&event.detail),
        ]
    };
    Listing { columns: EVENT_COLUMNS, rows: events.iter().map(row).collect() }.render(screen)
}
