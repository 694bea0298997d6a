//! What owners see of keys, applications and budgets.

use keystile_core::time::Timestamp;
use keystile_store::sqlite::audit::event::EventRow;
use keystile_store::sqlite::keys::key::{ApplicationRow, KeyRow};

use crate::command::{ApplicationView, EventView, KeyView};

pub(crate) fn key(
    row: KeyRow,
    last_write: Option<Timestamp>,
    last_call: Option<Timestamp>,
    now: Timestamp,
) -> KeyView {
    let is_revoked = row.revoked.is_some() || row.expires.is_some_and(|expires| expires <= now);
    let lock = row.lock.filter(|lock| !is_revoked && lock.holds_at(now));
    let state = match (is_revoked, &lock) {
        (true, _) => "revoked",
        (false, Some(_)) => "locked",
        (false, None) => "active",
    };
    KeyView {
        id: row.id,
        prefix: row.prefix,
        application: row.application,
        plan: row.plan,
        state: state.to_owned(),
        lock,
        created: row.created,
        expires: row.expires,
        last_write,
        last_call,
        note: row.note,
    }
}

pub(crate) fn application(row: ApplicationRow) -> ApplicationView {
    ApplicationView {
        id: row.id,
        name: row.name,
        plan: row.plan,
        state: row.state,
        created: row.created,
        keys: row.keys,
        note: row.note,
    }
}

pub(crate) fn event(row: EventRow) -> EventView {
    EventView {
        id: row.id,
        time: row.time,
        kind: row.kind,
        key: row.key,
        application: row.application,
        subject: row.subject,
        actor: row.actor,
        detail: row.detail,
    }
}
