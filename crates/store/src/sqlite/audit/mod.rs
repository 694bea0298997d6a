//! The audit: events in a chain that shows when one was changed, taken out, put in or cut off.
//!
//! # What this protects
//!
//! Whoever can write to the file can change a row. They cannot do it unseen: each event carries an HMAC
//! over the hash of the one before and over all that it says, under a key that is derived from the
//! pepper, which lies in another file. The head (how many events there are, and the last hash) is kept
//! in a row of its own with an HMAC too, so that a tail that was cut off is missed.
//!
//! # Not here
//!
//! Whoever has the pepper as well can write another chain. And whoever puts back an older copy of the
//! whole file leaves nothing in it that tells. Against both an owner keeps the count and the head, which
//! [`verify`] gives, somewhere else.
//!
//! Events from before the chain have no hash; the head says how many there are.

use keystile_core::keys::hash::Pepper;
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::{Error, Result};
use crate::sqlite::audit::event::{Event, actor_text};
use crate::sqlite::files::schema;

pub(crate) mod event;

/// How far the chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// How many events are in it.
    count: i64,
    /// The number of the last event.
    last: i64,
    hash: [u8; 32],
}

/// The chain's end, in the writer's memory, so that appending reads nothing.
#[derive(Debug)]
pub(crate) struct AuditHead {
    key: Pepper,
    /// How many events are older than the chain.
    older: i64,
    present: Position,
    /// What is durable.
    committed: Position,
    /// Kept for its memory.
    text: Vec<u8>,
}

fn audit_key(pepper: &Pepper) -> Pepper {
    pepper.derived("keystile audit")
}

impl AuditHead {
    /// Reads the head, and seals one that has just been made.
    pub(crate) fn open(connection: &Connection, pepper: &Pepper) -> Result<Self> {
        let key = audit_key(pepper);
        let stored = StoredHead::read(connection)?;
        let StoredHead { older, position, seal } = stored;
        let mut head =
            Self { key, older, present: position, committed: position, text: Vec::new() };
        if seal.is_none() && position.count == 0 {
            head.store(connection)?;
        }
        head.skip_foreign(connection);
        Ok(head)
    }

    pub(crate) fn position(&self) -> Position {
        self.present
    }

    /// How many events are durable.
    pub(crate) fn committed_count(&self) -> i64 {
        self.committed.count
    }

    /// The number of the last event.
    pub(crate) fn last_event(&self) -> i64 {
        self.present.last
    }

    /// Forgets what a change appended that came to nothing.
    pub(crate) fn rollback_to(&mut self, position: Position) {
        self.present = position;
    }

    pub(crate) fn append(
        &mut self,
        connection: &Connection,
        now: Timestamp,
        event: &Event<'_>,
    ) -> Result<()> {
        let actor = actor_text(event.actor);
        let (Event { kind, key, application, subject, detail, .. }, id) =
            (event, self.present.last + 1);
        let said = Said {
            id,
            time: now.0,
            kind: kind.name(),
            key: *key,
            application: *application,
            subject: *subject,
            actor: &actor,
            detail,
        };
        let hash = said.hash(&self.key, &self.present.hash, &mut self.text);
        let mut statement = connection.prepare_cached(
            "INSERT INTO event (id, time, kind, key, application, subject, actor, detail, hash)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        statement.execute(params![
            id,
            now.0,
            kind.name(),
            key,
            application,
            subject,
            actor,
            detail,
            hash.as_slice()
        ])?;
        self.present = Position { count: self.present.count + 1, last: id, hash };
        Ok(())
    }

    /// Writes the head before a commit: once for all events of a transaction.
    pub(crate) fn write(&mut self, connection: &Connection) -> Result<()> {
        if self.present == self.committed { Ok(()) } else { self.store(connection) }
    }

    fn store(&mut self, connection: &Connection) -> Result<()> {
        let seal = seal(&self.key, self.older, &self.present);
        let Position { count, last, hash } = &self.present;
        connection
            .prepare_cached("UPDATE audit SET count = ?1, last = ?2, hash = ?3, seal = ?4")?
            .execute(params![count, last, hash.as_slice(), seal.as_slice()])?;
        Ok(())
    }

    /// What was appended is durable.
    pub(crate) fn note_committed(&mut self) {
        self.committed = self.present;
    }

    /// Goes back to what is durable, after a transaction that was not.
    pub(crate) fn recover(&mut self, connection: &Connection) {
        self.present = self.committed;
        self.skip_foreign(connection);
    }

    /// Rows that somebody else put behind the chain's end must not keep a key from being locked: the next
    /// event comes after them, and [`verify`] finds them.
    fn skip_foreign(&mut self, connection: &Connection) {
        let last = connection
            .query_row("SELECT max(id) FROM event", [], |row| row.get::<_, Option<i64>>(0));
        if let Ok(Some(last)) = last {
            self.present.last = self.present.last.max(last);
            self.committed.last = self.committed.last.max(last);
        }
    }
}

/// How many events a store has in its chain.
pub(crate) fn count(connection: &Connection) -> Result<i64> {
    Ok(StoredHead::read(connection)?.position.count)
}

/// Whether the chain was written with this pepper; nothing is known of one that was never sealed.
pub(crate) fn is_sealed_with(connection: &Connection, pepper: &Pepper) -> Result<Option<bool>> {
    let StoredHead { older, position, seal: stored } = StoredHead::read(connection)?;
    let expected = seal(&audit_key(pepper), older, &position);
    Ok(stored.map(|stored| stored == expected))
}

struct StoredHead {
    older: i64,
    position: Position,
    seal: Option<Vec<u8>>,
}

impl StoredHead {
    fn read(connection: &Connection) -> Result<Self> {
        let head = connection
            .query_row("SELECT older, count, last, hash, seal FROM audit", [], |row| {
                let hash: Vec<u8> = row.get(3)?;
                let position = Position {
                    count: row.get(1)?,
                    last: row.get(2)?,
                    // A hash of another length fits no event, which verifying says.
                    hash: hash.try_into().unwrap_or_default(),
                };
                Ok(Self { older: row.get(0)?, position, seal: row.get(4)? })
            })
            .optional()?;
        head.ok_or_else(|| Error::Corrupt("the audit has no head".to_owned()))
    }
}

fn seal(key: &Pepper, older: i64, position: &Position) -> [u8; 32] {
    let mut text = b"head".to_vec();
    for number in [older, position.count, position.last] {
        text.extend(number.to_be_bytes());
    }
    text.extend(position.hash);
    *key.hash(&text).as_bytes()
}

/// All that a row says, which its hash covers.
struct Said<'a> {
    id: i64,
    time: i64,
    kind: &'a str,
    key: Option<i64>,
    application: Option<i64>,
    subject: Option<&'a str>,
    actor: &'a str,
    detail: &'a str,
}

impl Said<'_> {
    /// Each part with its length, so that nothing can move from one to the next.
    fn hash(&self, key: &Pepper, previous: &[u8; 32], text: &mut Vec<u8>) -> [u8; 32] {
        text.clear();
        text.extend(previous);
        for number in [Some(self.id), Some(self.time), self.key, self.application] {
            text.push(u8::from(number.is_some()));
            text.extend(number.unwrap_or_default().to_be_bytes());
        }
        for part in [Some(self.kind), self.subject, Some(self.actor), Some(self.detail)] {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            text.extend(length.to_be_bytes());
            text.extend(part.unwrap_or_default().as_bytes());
        }
        *key.hash(text).as_bytes()
    }
}

/// What came of looking through the audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainCheck {
    /// How many events are older than the chain, and carry no hash.
    pub older: u64,
    /// How many events are in the chain, as far as it fits.
    pub count: u64,
    /// The hash of the last of them.
    pub head: [u8; 32],
    /// The first thing that does not fit.
    pub fault: Option<Fault>,
}

/// Where the chain breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The event that does not fit; `None` where events are missing at the end or the head is wrong.
    pub event: Option<i64>,
    /// What is wrong, as the end of a sentence.
    pub problem: String,
}

/// Walks through all events and says what the first is that does not fit.
///
/// # Errors
/// When the store cannot be read. What does not fit is no error: it is in the answer.
pub(crate) fn verify(connection: &Connection, pepper: &Pepper) -> Result<ChainCheck> {
    let key = audit_key(pepper);
    let head = StoredHead::read(connection)?;
    let mut statement = connection.prepare(
        "SELECT id, time, kind, key, application, subject, actor, detail, hash FROM event
         ORDER BY id",
    )?;
    let mut rows = statement.query([])?;
    let mut walk =
        Walk { key: &key, older: 0, count: 0, last: None, hash: [0; 32], text: Vec::new() };
    let mut fault = None;
    while let (None, Some(row)) = (&fault, rows.next()?) {
        fault = walk.step(row)?;
    }
    let fault = fault.or_else(|| walk.end(&head));
    let fault = match (fault, schema::verify(connection)) {
        (None, Err(Error::Foreign(what))) => Some(Fault {
            event: None,
            problem: format!("somebody put {what} into the store, which may act on its own"),
        }),
        (fault, _) => fault,
    };
    let (older, count) = (walk.older.unsigned_abs(), walk.count.unsigned_abs());
    Ok(ChainCheck { older, count, head: walk.hash, fault })
}

struct Walk<'a> {
    key: &'a Pepper,
    older: i64,
    count: i64,
    last: Option<i64>,
    hash: [u8; 32],
    text: Vec<u8>,
}

impl Walk<'_> {
    fn step(&mut self, row: &Row<'_>) -> Result<Option<Fault>> {
        let text = |place: usize| {
            row.get_ref(place).and_then(|value| Ok(value.as_str().map(str::to_owned)?))
        };
        let id: i64 = row.get(0)?;
        let fault = |problem: &str| Some(Fault { event: Some(id), problem: problem.to_owned() });
        let Some(hash) = row.get::<_, Option<Vec<u8>>>(8)? else {
            if self.count > 0 {
                return Ok(fault("has no hash: it was not written by Keystile"));
            }
            self.older += 1;
            return Ok(None);
        };
        if self.count > 0 && self.last.is_some_and(|last| last + 1 != id) {
            return Ok(fault(
                "does not follow the event before it: events between them are missing",
            ));
        }
        let (kind, actor, detail) = (text(2)?, text(6)?, text(7)?);
        let subject: Option<String> = row.get(5)?;
        let said = Said {
            id,
            time: row.get(1)?,
            kind: &kind,
            key: row.get(3)?,
            application: row.get(4)?,
            subject: subject.as_deref(),
            actor: &actor,
            detail: &detail,
        };
        let expected = said.hash(self.key, &self.hash, &mut self.text);
        if hash != expected {
            return Ok(fault("is not what was written, or does not stand where it was written"));
        }
        self.count += 1;
        self.last = Some(id);
        self.hash = expected;
        Ok(None)
    }

    fn end(&self, head: &StoredHead) -> Option<Fault> {
        let StoredHead { older, position, seal: stored } = head;
        let fault = |problem: String| Some(Fault { event: None, problem });
        let expected = seal(self.key, *older, position);
        if stored.as_deref() != Some(expected.as_slice()) {
            return fault("the head is not what was written".to_owned());
        }
        if self.older != *older {
            let problem = "events from before the chain were written, and there are";
            return fault(format!("{older} {problem} {}", self.older));
        }
        if (self.count, self.hash) == (position.count, position.hash) {
            return None;
        }
        let missing = position.count - self.count;
        fault(format!("{missing} events are missing at the end"))
    }
}
