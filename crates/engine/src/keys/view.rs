//! What owners see of keys, applications and budgets.

use keystile_core::time::Timestamp;
use keystile_store::applications::ApplicationRow;
use keystile_store::audit::EventRow;
use keystile_store::keys::KeyRow;

use crate::audit::EventView;
use crate::keys::application::ApplicationView;
use crate::keys::key::KeyView;

pub(crate) fn key(
    row: KeyRow,
    last_write: Option<Timestamp>,
    last_call: Option<Timestamp>,
    now: Timestamp,
) -> KeyView {
    let (state, lock) = (row.state_at(now).to_owned(), row.lock_at(now).cloned());
    KeyView {
        id: row.id,
        prefix: row.prefix,
        application: row.application,
        plan: row.plan,
        state,
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
