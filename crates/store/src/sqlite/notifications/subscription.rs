//! Subscriptions: the browsers and phones of owners that take Web Push.

use keystile_core::actor::Actor;
use keystile_core::notifications::subscription::SubscriptionId;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::owners::devices::{NewSubscription, SubscriptionRow};
use crate::sqlite::audit::event::{Event, EventKind};
use crate::sqlite::row::parsed;
use crate::sqlite::writer::write_tx::WriteTx;

/// An owner has so many devices at most; a page that subscribes in a loop fills no disk.
const DEVICES_MAX: u32 = 50;

const COLUMNS: &str =
    "subscription.uid, owner.uid, endpoint, p256dh, auth, label, subscription.created, used
     FROM subscription JOIN owner ON owner.id = subscription.owner";

fn subscription_row(row: &Row<'_>) -> Result<SubscriptionRow> {
    Ok(SubscriptionRow {
        id: parsed(&row.get::<_, String>(0)?)?,
        owner: parsed(&row.get::<_, String>(1)?)?,
        push_address: row.get(2)?,
        p256dh: row.get(3)?,
        auth: row.get(4)?,
        label: row.get(5)?,
        created: Timestamp(row.get(6)?),
        used: row.get::<_, Option<i64>>(7)?.map(Timestamp),
    })
}

/// All devices, oldest first.
pub(crate) fn list(connection: &Connection) -> Result<Vec<SubscriptionRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} ORDER BY subscription.id"))?;
    statement.query_and_then([], subscription_row)?.collect()
}

/// The device with an id; `None` where it was removed.
pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<SubscriptionRow>> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} WHERE subscription.uid = ?1"))?;
    statement.query_and_then([id], subscription_row)?.next().transpose()
}

pub(crate) fn ids(connection: &Connection) -> Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT uid FROM subscription ORDER BY id")?;
    statement.query_and_then([], |row| Ok(row.get(0)?))?.collect()
}

pub(crate) fn touch(connection: &Connection, id: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached("UPDATE subscription SET used = ?2 WHERE uid = ?1")?
        .execute(params![id, now.0])?;
    Ok(())
}

/// Subscribes a device. One that is known by its push address becomes this owner's, with its new keys.
pub(crate) fn subscribe(
    tx: &mut WriteTx<'_>,
    new: &NewSubscription,
    actor: &Actor,
) -> Result<SubscriptionId> {
    let owner: Option<(i64, u32)> = tx
        .connection
        .query_row(
            "SELECT id, (SELECT count(*) FROM subscription WHERE owner = owner.id) FROM owner
             WHERE uid = ?1",
            [new.owner.to_string()],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()?;
    let (owner, devices) = owner.ok_or_else(|| Error::Missing("owner with this id".to_owned()))?;
    if devices >= DEVICES_MAX {
        return Err(Error::Conflict(format!(
            "an owner has at most {DEVICES_MAX} devices: remove one first"
        )));
    }
    let uid: String = tx.connection.query_row(
        "INSERT INTO subscription (uid, owner, endpoint, p256dh, auth, label, created)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (endpoint) DO UPDATE SET owner = excluded.owner, p256dh = excluded.p256dh,
            auth = excluded.auth, label = excluded.label
         RETURNING uid",
        params![
            new.id.to_string(),
            owner,
            new.push_address,
            new.p256dh,
            new.auth,
            new.label,
            tx.now.0
        ],
        |row| row.get(0),
    )?;
    tx.record_event(&Event::named(
        EventKind::DeviceAdded,
        Some(&new.label),
        actor,
        "takes push messages",
    ))?;
    parsed(&uid)
}

/// Removes a device; `detail` says in the audit how that came about.
pub(crate) fn remove(
    tx: &mut WriteTx<'_>,
    id: SubscriptionId,
    actor: &Actor,
    detail: &str,
) -> Result<()> {
    let label: Option<String> = tx
        .connection
        .query_row(
            "DELETE FROM subscription WHERE uid = ?1 RETURNING label",
            [id.to_string()],
            |row| row.get(0),
        )
        .optional()?;
    let label = label.ok_or_else(|| Error::Missing(format!("device {id}")))?;
    tx.record_event(&Event::named(EventKind::DeviceRemoved, Some(&label), actor, detail))
}

/// Forgets a device whose push service says that it is gone; an address of a mailbox is no device.
pub(crate) fn forget_gone(tx: &mut WriteTx<'_>, receiver: &str, said: &str) -> Result<()> {
    match receiver.parse() {
        Ok(id) if find(tx.connection, receiver)?.is_some() => {
            remove(tx, id, &Actor::System, &format!("its push service said: {said}"))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
