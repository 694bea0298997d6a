//! Applications for people.

use keystile_core::keys::application::ApplicationState;
use keystile_engine::keys::application::{ApplicationDetails, ApplicationView};

use super::super::session::Screen;
use super::super::when::{exact_and_relative, relative};
use super::key;
use super::listing::{Cell, Column, Listing, Tone, details, section};

const COLUMNS: &[Column] = &[
    Column::new("APPLICATION"),
    Column::new("PLAN"),
    Column::new("STATE").whole(),
    Column::new("KEYS").whole(),
    Column::new("CREATED").from(80).whole(),
    Column::new("ID").from(120).whole(),
];

/// A list of applications.
pub(crate) fn applications(applications: &[ApplicationView], screen: &Screen) -> String {
    let row = |application: &ApplicationView| {
        vec![
            Cell::listed(&application.name, screen),
            Cell::listed(&application.plan, screen),
            state(application),
            Cell::new(application.keys.to_string()),
            Cell::new(relative(application.created, screen.now)),
            Cell::new(&application.id),
        ]
    };
    Listing { columns: COLUMNS, rows: applications.iter().map(row).collect() }.render(screen)
}

/// An application with its keys.
pub(crate) fn application(details_of: &ApplicationDetails, screen: &Screen) -> String {
    let ApplicationDetails { application, budgets, keys_list } = details_of;
    let mut rows = vec![
        ("Name", Cell::new(&application.name)),
        ("Id", Cell::new(&application.id)),
        ("Plan", Cell::new(&application.plan)),
        ("State", state(application)),
        ("Created", Cell::new(exact_and_relative(application.created, screen.now))),
        ("Keys", Cell::new(format!("{} not revoked", application.keys))),
    ];
    rows.extend(application.lock.iter().flat_map(|lock| key::lock_rows(lock, screen.now)));
    rows.extend(application.note.iter().map(|note| ("Note", Cell::lines(note))));
    let mut page = details(screen, &rows);
    let mut plans: Vec<&str> = budgets.iter().map(|shared| shared.plan.as_str()).collect();
    plans.dedup();
    for plan in plans {
        let of_plan = budgets.iter().filter(|shared| shared.plan == plan);
        let of_plan: Vec<_> = of_plan.map(|shared| shared.budget.clone()).collect();
        let title = format!("Shared write budgets of the plan {plan}");
        page.push_str(&section(&title, &key::budget_table(&of_plan, screen)));
    }
    if !keys_list.is_empty() {
        page.push_str(&section("Keys", &key::keys(keys_list, screen)));
    }
    page
}

fn state(application: &ApplicationView) -> Cell {
    match (application.state, &application.lock) {
        (ApplicationState::Active, Some(lock)) => {
            Cell::new(format!("locked ({})", lock.level)).tone(Tone::Bad)
        }
        (ApplicationState::Active, None) => Cell::new("active").tone(Tone::Good),
        (ApplicationState::Suspended, _) => Cell::new("suspended").tone(Tone::Bad),
    }
}
