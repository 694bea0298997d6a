//! Owners and tokens for people.

use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::token::TokenView;

use super::super::session::Screen;
use super::super::when::relative;
use super::listing::{Cell, Column, Listing, Tone};

const OWNER_COLUMNS: &[Column] = &[
    Column::new("OWNER"),
    Column::new("PASSKEYS").whole(),
    Column::new("PASSWORD").whole(),
    Column::new("CODES LEFT").from(60).whole(),
    Column::new("SINCE").whole(),
    Column::new("ID").from(120).whole(),
];

const TOKEN_COLUMNS: &[Column] = &[
    Column::new("TOKEN"),
    Column::new("SCOPE").whole(),
    Column::new("STATE").whole(),
    Column::new("LAST USED").whole(),
    Column::new("ENDS").from(80).whole(),
    Column::new("MADE BY").from(80),
    Column::new("CREATED").from(100).whole(),
    Column::new("ID").from(160).whole(),
];

/// A list of owners.
pub(crate) fn owners(owners: &[OwnerView], screen: &Screen) -> String {
    let row = |owner: &OwnerView| {
        vec![
            Cell::listed(&owner.name, screen),
            Cell::new(owner.passkeys.to_string()),
            Cell::new(if owner.has_password { "yes" } else { "no" }),
            Cell::new(owner.recovery_codes.to_string()),
            Cell::new(relative(owner.created, screen.now)),
            Cell::new(owner.id.to_string()),
        ]
    };
    Listing { columns: OWNER_COLUMNS, rows: owners.iter().map(row).collect() }.render(screen)
}

/// A list of tokens.
pub(crate) fn tokens(tokens: &[TokenView], screen: &Screen) -> String {
    let row = |token: &TokenView| {
        let tone = if token.state == "active" { Tone::Good } else { Tone::Faint };
        let ends = match token.state.as_str() {
            "revoked" => Cell::new("revoked").tone(Tone::Faint),
            _ => Cell::relative(token.expires, screen.now),
        };
        vec![
            Cell::listed(&token.name, screen),
            Cell::new(token.scope.name()),
            Cell::new(&token.state).tone(tone),
            Cell::relative(token.used, screen.now),
            ends,
            Cell::listed(&token.actor.to_string(), screen),
            Cell::new(relative(token.created, screen.now)),
            Cell::new(token.id.to_string()),
        ]
    };
    Listing { columns: TOKEN_COLUMNS, rows: tokens.iter().map(row).collect() }.render(screen)
}
