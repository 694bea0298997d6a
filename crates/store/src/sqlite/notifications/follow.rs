//! Following the journal: which new records are events that rules wait for.
//!
//! # What this protects
//!
//! A write on a watched operation costs its caller nothing: its record, which is durable before it is sent,
//! is the event. Some time after, [`look`] reads new records beside the writer and finds the rules they
//! meet; [`WriteTx::record_watched`] turns that into deliveries and counts, together with the cursor, in
//! one transaction. A crash before it repeats the look, a crash after it finds the cursor moved, so each
//! record becomes an event exactly once.
//!
//! # The cursor
//!
//! The cursor (the meta value `watched_to`) is the row number of a record: rules have seen every record up
//! to it, and none beyond. That holds because of one property of this backend: its only writer gives row
//! numbers and commits in their order, so no record appears at or below a number that a reader has seen.
//! Numbers may have gaps, and times need not rise along them.
//!
//! # How
//!
//! A record whose write is under way holds the cursor for a moment, because its outcome is worth knowing.
//! After that rules that do not care take it as it stands, and `watch_late` keeps it for those that wait
//! for an outcome. There are never more of these than connections.

use std::collections::HashMap;
use std::sync::Arc;

use keystile_core::journal::Outcome;
use keystile_core::notifications::digest::Occurrence;
use keystile_core::notifications::notice::NoticeKey;
use keystile_core::notifications::plan;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{KeyFacts, WatchRule, WatchRules, WriteFacts};
use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::sqlite::journal::query::RecordQuery;
use crate::sqlite::journal::{listing, record, subject_index};
use crate::sqlite::meta;
use crate::sqlite::notifications::notice::{notice_key, write_notice};
use crate::sqlite::writer::write_tx::WriteTx;

/// How long a record whose write is under way holds the others up.
const PATIENCE: Span = Span::from_secs(1);
/// So many late records are looked at in one go.
const LATE_AT_ONCE: u32 = 1_000;

/// What a look at the journal found.
#[derive(Debug)]
pub(crate) struct TailBatch {
    /// The rules that it was looked for; a reload in between concerns later records.
    watching: Arc<WatchRules>,
    from: i64,
    to: i64,
    events: Vec<plan::Event>,
    /// Keys and operations that wrote for the first time, or turned out to have written before.
    firsts: Vec<(FirstOf, String)>,
    /// Records that a rule still waits for.
    late: Vec<i64>,
    /// Late records that are settled now.
    settled: Vec<i64>,
    /// Whether more records wait.
    pub is_full: bool,
}

impl TailBatch {
    /// Whether there is nothing to write down.
    pub(crate) fn is_empty(&self) -> bool {
        self.from == self.to && self.settled.is_empty()
    }

    /// Adds an event for a rule; one record is one event of a kind, whatever number of rules wait for it.
    fn add(&mut self, rule: usize, trigger: Trigger, occurrence: Occurrence) {
        let same = self
            .events
            .iter_mut()
            .rev()
            .take_while(|event| event.occurrence.sample == occurrence.sample)
            .find(|event| event.trigger == trigger);
        match same {
            Some(event) => event.rules.push(rule),
            None => self.events.push(plan::Event {
                trigger,
                rules: vec![rule],
                occurrence,
                thread: None,
                except: None,
            }),
        }
    }
}

/// What writes for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum FirstOf {
    Key,
    Operation,
}

impl FirstOf {
    fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Operation => "operation",
        }
    }
}

/// The record up to which rules have seen the journal; `None` where no rule has followed it.
pub(crate) fn watched_to(connection: &Connection) -> Result<Option<i64>> {
    meta::number(connection, "watched_to")
}

/// Reads at most so many records after one, and late ones, and finds what is to be told.
pub(crate) fn look(
    connection: &Connection,
    watching: &Arc<WatchRules>,
    from: i64,
    now: Timestamp,
    limit: u32,
) -> Result<TailBatch> {
    let mut look = TailBatch {
        watching: watching.clone(),
        from,
        to: from,
        events: Vec::new(),
        firsts: Vec::new(),
        late: Vec::new(),
        settled: Vec::new(),
        is_full: false,
    };
    let mut matcher =
        RuleMatcher { connection, watching, keys: HashMap::new(), firsts: HashMap::new() };
    matcher.look_at_late(&mut look)?;
    // By the primary key.
    let mut statement = connection.prepare_cached(
        "SELECT id, time, subject, plan, api, method, path, operation, outcome, count, duration_ms
         FROM journal WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let (mut rows, mut read) = (statement.query(params![from, limit])?, 0);
    while let Some(row) = rows.next()? {
        let outcome = record::outcome_of(row.get(8)?)?;
        let age = now.millis_since(Timestamp(row.get(1)?));
        if outcome == Outcome::Pending && age < PATIENCE.millis() {
            return Ok(look);
        }
        matcher.look_at(row, outcome, Waiters::All, &mut look)?;
        look.to = row.get(0)?;
        read += 1;
    }
    look.is_full = read == limit;
    Ok(look)
}

/// Which rules a record is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiters {
    /// All of them.
    All,
    /// Those that waited for its outcome; the others have told it.
    ForOutcome,
}

struct RuleMatcher<'c> {
    connection: &'c Connection,
    watching: &'c WatchRules,
    keys: HashMap<i64, Option<NoticeKey>>,
    /// The record of the first write, for what was looked at; `None` where that was before.
    firsts: HashMap<(FirstOf, String), Option<i64>>,
}

impl RuleMatcher<'_> {
    fn look_at_late(&mut self, look: &mut TailBatch) -> Result<()> {
        let mut statement = self.connection.prepare_cached(
            "SELECT journal.id, time, subject, plan, api, method, path, operation, outcome, count,
                    duration_ms, watch_late.record
             FROM watch_late LEFT JOIN journal ON journal.id = record
             WHERE outcome IS NOT 0 AND outcome IS NOT 7 ORDER BY record LIMIT ?1",
        )?;
        let mut rows = statement.query([LATE_AT_ONCE])?;
        while let Some(row) = rows.next()? {
            look.settled.push(row.get(11)?);
            // Retention may have deleted it.
            if row.get::<_, Option<i64>>(0)?.is_some() {
                let outcome = record::outcome_of(row.get(8)?)?;
                self.look_at(row, outcome, Waiters::ForOutcome, look)?;
            }
        }
        Ok(())
    }

    fn look_at(
        &mut self,
        row: &Row<'_>,
        outcome: Outcome,
        waiters: Waiters,
        look: &mut TailBatch,
    ) -> Result<()> {
        let is_untimed =
            row.get_ref(10)?.as_i64_or_null().map_err(rusqlite::Error::from)?.is_none();
        if outcome == Outcome::Applied && is_untimed {
            // A read that would have been refused, were its API not only observed.
            return Ok(());
        }
        let text = |place: usize| -> Result<&str> {
            Ok(row.get_ref(place)?.as_str().map_err(rusqlite::Error::from)?)
        };
        let (id, subject): (i64, i64) = (row.get(0)?, row.get(2)?);
        let plan = row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)?;
        let key = if self.watching.names_keys() { self.key(subject)? } else { None };
        let key = KeyFacts {
            id: key.as_ref().map(|key| key.id.as_str()),
            prefix: key.as_ref().map(|key| key.prefix.as_str()),
            application: key.as_ref().map(|key| key.application.as_str()),
            plan,
        };
        let write = WriteFacts { api: text(4)?, method: text(5)?, path: text(6)?, key };
        let mut is_late = false;
        let watching = self.watching;
        for (place, rule) in watching.of_write(&write) {
            let waits = rule.needs_outcome();
            if waiters == Waiters::ForOutcome && !waits {
                continue;
            }
            if waits && outcome == Outcome::Pending {
                is_late = true;
            } else if rule.fits_outcome(outcome) {
                match first_of(rule, subject, write.api, text(7)?) {
                    FirstWrite::NotAsked => {}
                    FirstWrite::Nobody => continue,
                    FirstWrite::Of(kind, name) => {
                        if !self.is_first((kind, name), subject, id, look)? {
                            continue;
                        }
                    }
                }
                let occurrence = Occurrence { subject, count: row.get(9)?, sample: id };
                look.add(place, rule.trigger, occurrence);
            }
        }
        if is_late {
            look.late.push(id);
        }
        Ok(())
    }

    fn key(&mut self, subject: i64) -> Result<Option<NoticeKey>> {
        if let Some(known) = self.keys.get(&subject) {
            return Ok(known.clone());
        }
        let found = notice_key(self.connection, subject)?;
        self.keys.insert(subject, found.clone());
        Ok(found)
    }

    /// Whether nothing of this kind is known to have written before a record. Several rules may wait for one
    /// first write; a later write is none.
    fn is_first(
        &mut self,
        named: (FirstOf, String),
        subject: i64,
        id: i64,
        look: &mut TailBatch,
    ) -> Result<bool> {
        if let Some(first) = self.firsts.get(&named) {
            return Ok(*first == Some(id));
        }
        let (kind, name) = (named.0, named.1.as_str());
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM seen_first WHERE kind = ?1 AND subject = ?2")?;
        let is_seen = statement.query_row(params![kind.name(), name], |_| Ok(())).optional()?;
        // The rule may be younger than what it speaks of.
        let has_written = is_seen.is_some()
            || match kind {
                FirstOf::Key => key_wrote_before(self.connection, subject, id)?,
                FirstOf::Operation => operation_wrote_before(self.connection, name, id)?,
            };
        if is_seen.is_none() {
            look.firsts.push(named.clone());
        }
        self.firsts.insert(named, (!has_written).then_some(id));
        Ok(!has_written)
    }
}

enum FirstWrite {
    NotAsked,
    /// Callers without a key have no first write of a key.
    Nobody,
    Of(FirstOf, String),
}

fn first_of(rule: &WatchRule, subject: i64, api: &str, operation: &str) -> FirstWrite {
    match rule.trigger {
        Trigger::FirstWriteOfKey if subject <= 0 => FirstWrite::Nobody,
        Trigger::FirstWriteOfKey => FirstWrite::Of(FirstOf::Key, subject.to_string()),
        Trigger::FirstWriteOfOperation => {
            FirstWrite::Of(FirstOf::Operation, format!("{api}: {operation}"))
        }
        Trigger::Write
        | Trigger::BudgetLevel
        | Trigger::KeyLocked
        | Trigger::KeyUnlocked
        | Trigger::WriteUnknown
        | Trigger::RefusalBurst
        | Trigger::StorageFailure
        | Trigger::DeliveryFailed
        | Trigger::Test => FirstWrite::NotAsked,
    }
}

/// By the index of the journal by subject, and the rows that are not yet in it. What cost nothing was not
/// sent, or refused.
fn key_wrote_before(connection: &Connection, subject: i64, id: i64) -> Result<bool> {
    let indexed_to = subject_index::indexed_to(connection)?;
    let mut statement = connection.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM journal_by_subject
                        WHERE subject = ?1 AND id < ?2 AND id <= ?3 AND cost > 0)
             OR EXISTS (SELECT 1 FROM journal
                        WHERE id > ?3 AND id < ?2 AND subject = ?1 AND cost > 0)",
    )?;
    Ok(statement.query_row(params![subject, id, indexed_to], |row| row.get(0))?)
}

/// By the blocks of the journal, once for each operation. A search that is given up has met many records
/// without it: then it is as good as new.
fn operation_wrote_before(connection: &Connection, name: &str, id: i64) -> Result<bool> {
    let Some((api, operation)) = name.split_once(": ") else {
        return Ok(false);
    };
    let query = RecordQuery {
        api: Some(api.to_owned()),
        operation: Some(operation.to_owned()),
        before: Some(keystile_core::journal::RecordId(id)),
        limit: 1,
        ..RecordQuery::default()
    };
    let found = listing::page(connection, &query)?.records;
    Ok(found.iter().any(|record| record.cost > 0))
}

impl WriteTx<'_> {
    /// Writes down what a look found, and moves the cursor. Another look that was faster makes this one
    /// nothing.
    pub(crate) fn record_watched(&mut self, look: &TailBatch) -> Result<()> {
        let cursor = watched_to(self.connection)?;
        if cursor.is_some_and(|cursor| cursor != look.from) {
            return Ok(());
        }
        for (kind, name) in &look.firsts {
            self.note_first(*kind, name)?;
        }
        self.notify(&look.watching, &look.events, |tx, event| {
            write_notice(tx.connection, event.trigger, &event.occurrence, tx.now)
        })?;
        for late in &look.late {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO watch_late (record) VALUES (?1)")?
                .execute([late])?;
        }
        for settled in &look.settled {
            self.connection
                .prepare_cached("DELETE FROM watch_late WHERE record = ?1")?
                .execute([settled])?;
        }
        meta::set(self.connection, "watched_to", &look.to.to_string())
    }

    /// Rules follow the journal from now on, after a record, unless they did before.
    pub(crate) fn begin_watching(&mut self, from: i64) -> Result<()> {
        if watched_to(self.connection)?.is_none() {
            meta::set(self.connection, "watched_to", &from.to_string())?;
        }
        Ok(())
    }

    /// No rule follows the journal any more; one that does again begins with what is new then.
    pub(crate) fn stop_watching(&mut self) -> Result<()> {
        self.connection.execute("DELETE FROM meta WHERE name = 'watched_to'", [])?;
        self.connection.execute("DELETE FROM watch_late", [])?;
        Ok(())
    }

    fn note_first(&self, kind: FirstOf, name: &str) -> Result<()> {
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO seen_first (kind, subject) VALUES (?1, ?2)")?
            .execute(params![kind.name(), name])?;
        Ok(())
    }
}
