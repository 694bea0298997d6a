//! Listing keys, and one key with its history.

use keystile_core::audit::AuditEvent;
use keystile_core::keys::lock::LockTarget;
use keystile_core::time::Timestamp;
use rusqlite::Connection;

use crate::error::Result;
use crate::keys::{KeyQuery, KeyRef, ListedKey};
use crate::sqlite::audit::event;
use crate::sqlite::journal::activity;
use crate::sqlite::keys::application;
use crate::sqlite::keys::key::{self, KeyScan, LockedOnly};

/// Keys that are read at once while one state is looked for.
const SCANNED_AT_ONCE: u32 = 10_000;

/// Keys in the order in which they were issued.
pub(crate) fn list(
    connection: &Connection,
    query: &KeyQuery,
    now: Timestamp,
) -> Result<Vec<ListedKey>> {
    let after = query.after.as_ref().map(|after| key::find(connection, after)).transpose()?;
    let application = query.application.as_deref();
    let mut scan = KeyScan {
        application_row: application
            .map(|name| application::application_row_of(connection, name))
            .transpose()?,
        plan: query.plan.clone(),
        origin: query.origin.clone(),
        after_row: after.map_or(0, |after| after.row),
        // A key's state depends on the time, so it is filtered here, a page at a time: one locked key may
        // stand behind many others.
        limit: if query.state.is_some() || query.locked_on.is_some() {
            SCANNED_AT_ONCE
        } else {
            query.limit
        },
        locked: match (query.state.as_deref(), query.locked_on) {
            (_, Some(LockTarget::Key)) => LockedOnly::Themselves,
            (Some("locked"), None) | (_, Some(LockTarget::Application)) => {
                LockedOnly::WithApplication
            }
            (_, None) => LockedOnly::No,
        },
    };
    let mut found = Vec::new();
    while found.len() < query.limit as usize {
        let page = key::list_keys(connection, &scan)?;
        let Some(last) = page.last().map(|row| row.row) else {
            break;
        };
        let is_last_page = page.len() < scan.limit as usize;
        for key in page {
            let is_state = query.state.as_ref().is_none_or(|state| *state == key.state_at(now));
            let is_on = |on| key.lock_at(now).is_some_and(|lock| lock.on == on);
            if is_state && query.locked_on.is_none_or(is_on) {
                let last_write = activity::last_of_subject(connection, key.row)?;
                found.push(ListedKey { key, last_write });
            }
            if found.len() >= query.limit as usize {
                break;
            }
        }
        if is_last_page {
            break;
        }
        scan.after_row = last;
    }
    Ok(found)
}

/// A key with its last write and its latest events.
pub(crate) fn with_events(
    connection: &Connection,
    key: &KeyRef,
    events: u32,
) -> Result<(ListedKey, Vec<AuditEvent>)> {
    let key = key::find(connection, key)?;
    let events = event::list_of_key(connection, key.row, events)?;
    let last_write = activity::last_of_subject(connection, key.row)?;
    Ok((ListedKey { key, last_write }, events))
}
