//! Notices: what messages say of keys, writes and events, read when they are written.

use keystile_core::journal::RecordId;
use keystile_core::notifications::digest::{DigestCounts, Occurrence};
use keystile_core::notifications::notice::{
    Notice, NoticeApplication, NoticeEvent, NoticeKey, NoticeOffender, NoticeWrite,
};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::KeyFacts;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use crate::error::Result;
use crate::sqlite::journal::record::outcome_of;

/// A digest names so many of those who caused most.
const OFFENDERS_SHOWN: usize = 5;

/// What rules look at in a key; nothing, where there is none.
pub(crate) fn key_facts(key: Option<&NoticeKey>) -> KeyFacts<'_> {
    key.map_or_else(KeyFacts::default, |key| KeyFacts {
        id: Some(&key.id),
        prefix: Some(&key.prefix),
        application: Some(&key.application),
        plan: Some(&key.plan),
    })
}

/// What a digest says that counted from one time to another.
pub(crate) fn digest_notice(
    connection: &Connection,
    trigger: Trigger,
    (since, until): (Timestamp, Timestamp),
    counts: &DigestCounts,
) -> Result<Notice> {
    let mut notice = Notice::new(trigger, until);
    notice.since = Some(since);
    notice.count = counts.count;
    for offender in counts.offenders.iter().take(OFFENDERS_SHOWN) {
        notice.offenders.push(NoticeOffender {
            key: notice_key(connection, offender.subject)?,
            count: offender.count,
            inherited: offender.inherited,
        });
    }
    if let [only] = notice.offenders.as_slice() {
        notice.key.clone_from(&only.key);
    }
    if trigger.is_of_writes() {
        for record in &counts.samples {
            notice.writes.extend(notice_write(connection, *record)?);
        }
    } else {
        notice.events = events_of(connection, &counts.samples)?;
        let details = notice.events.iter().map(|event| event.detail.as_str());
        notice.detail = details.collect::<Vec<_>>().join("; ");
    }
    Ok(notice)
}

/// What a message says of one record of the journal.
pub(crate) fn write_notice(
    connection: &Connection,
    trigger: Trigger,
    occurrence: &Occurrence,
    now: Timestamp,
) -> Result<Notice> {
    let mut notice = Notice::new(trigger, now);
    notice.count = u64::from(occurrence.count);
    notice.key = notice_key(connection, occurrence.subject)?;
    notice.writes.extend(notice_write(connection, occurrence.sample)?);
    if let Some(write) = notice.writes.first() {
        notice.time = write.time;
    }
    Ok(notice)
}

fn events_of(connection: &Connection, events: &[i64]) -> Result<Vec<NoticeEvent>> {
    let mut statement =
        connection.prepare_cached("SELECT time, key, detail FROM event WHERE id = ?1")?;
    let mut found = Vec::new();
    for event in events {
        let row = statement.query_row([event], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?))
        });
        if let Some((time, key, detail)) = row.optional()? {
            let key = key.map(|row| notice_key(connection, row)).transpose()?.flatten();
            found.push(NoticeEvent { time: Timestamp(time), key, detail });
        }
    }
    Ok(found)
}

/// A key as messages name it; none for callers without one.
pub(crate) fn notice_key(connection: &Connection, subject: i64) -> Result<Option<NoticeKey>> {
    if subject <= 0 {
        return Ok(None);
    }
    let mut statement = connection.prepare_cached(
        "SELECT key.uid, key.prefix, application.name, key.plan
         FROM key JOIN application ON application.id = key.application WHERE key.id = ?1",
    )?;
    let found = statement.query_row([subject], |row| {
        Ok(NoticeKey {
            id: row.get(0)?,
            prefix: row.get(1)?,
            application: row.get(2)?,
            plan: row.get(3)?,
        })
    });
    Ok(found.optional()?)
}

/// An application as messages name it, and its plan.
pub(crate) fn notice_application(
    connection: &Connection,
    row: i64,
) -> Result<Option<(NoticeApplication, String)>> {
    let mut statement =
        connection.prepare_cached("SELECT uid, name, plan FROM application WHERE id = ?1")?;
    let found = statement.query_row([row], |row| {
        Ok((NoticeApplication { id: row.get(0)?, name: row.get(1)? }, row.get(2)?))
    });
    Ok(found.optional()?)
}

/// A record as messages name it; none where retention has deleted it.
pub(crate) fn notice_write(connection: &Connection, record: i64) -> Result<Option<NoticeWrite>> {
    let mut statement = connection.prepare_cached(
        "SELECT journal.time, api, operation, method, path, address, outcome, application.name
         FROM journal LEFT JOIN key ON key.id = journal.subject
         LEFT JOIN application ON application.id = key.application WHERE journal.id = ?1",
    )?;
    let found = statement
        .query_and_then([record], |row| {
            Ok(NoticeWrite {
                id: RecordId(record),
                time: Timestamp(row.get(0)?),
                api: row.get(1)?,
                operation: row.get(2)?,
                method: row.get(3)?,
                path: row.get(4)?,
                address: row.get(5)?,
                outcome: outcome_of(row.get(6)?)?,
                application: row.get(7)?,
            })
        })?
        .next();
    found.transpose()
}
