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
            state(application.state),
            Cell::new(application.keys.to_string()),
            Cell::new(relative(application.created, screen.now)),
            Cell::new(&application.id),
        ]
    };
    Listing { columns: COLUMNS, rows: applications.iter().map(row).collect() }.render(screen)
}

/// An application with its keys.
pub(crate) fn application(details_of: &ApplicationDetails, screen: &Screen) -> String {
    let ApplicationDetails { application, keys_list } = details_of;
    let mut rows = vec![
        ("Name", Cell::new(&application.name)),
        ("Id", Cell::new(&application.id)),
        ("Plan", Cell::new(&application.plan)),
        ("State", state(application.state)),
        ("Created", Cell::new(exact_and_relative(application.created, screen.now))),
        ("Keys", Cell::new(format!("{} not revoked", application.keys))),
    ];
    rows.extend(application.note.iter().map(|note| ("Note", Cell::lines(note))));
    let mut page = details(screen, &rows);
    if !keys_list.is_empty() {
        page.push_str(&section("Keys", &key::keys(keys_list, screen)));
    }
    page
}

fn state(state: ApplicationState) -> Cell {
    match state {
        ApplicationState::Active => Cell::new("active").tone(Tone::Good),
        ApplicationState::Suspended => Cell::new("suspended").tone(Tone::Bad),
    }
}
