//! Following the journal: which new records are to be told.
//!
//! # What this protects
//!
//! A write on a watched operation costs its caller nothing: its record, which is durable before it is sent,
//! is the event. Some time after, [`look`] reads new records beside the writer and finds the rules they
//! meet; [`WriteTx::tell_watched`] turns that into deliveries and counts, together with the cursor (the meta
//! value `watched_to`), in one transaction. A crash before it repeats the look, a crash after it finds the
//! cursor moved, so each record is told exactly once.
//!
//! # How
//!
//! A record whose write is under way holds the cursor for a moment, because its outcome is worth telling.
//! After that it is told as it stands by rules that do not care, and `watch_late` keeps it for those that
//! wait for an outcome. There are never more of these than connections.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use keystile_core::journal::Outcome;
use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::grouping::{Conditions, Disposition, Occurrence};
use keystile_core::notifications::notice::{Notice, NoticeKey};
use keystile_core::notifications::watch::{
    KeyFacts, Trigger, TriggerKind, WatchRule, WatchRules, WriteFacts,
};
use keystile_core::time::{Span, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::error::Result;
use crate::sqlite::journal::{listing, record, subject_index};
use crate::sqlite::meta;
use crate::sqlite::notifications::outbox::NewMessage;
use crate::sqlite::notifications::tell::{OpenWindow, notice_key, notice_write};
use crate::sqlite::writer::write_tx::WriteTx;

/// How long a record whose write is under way holds the others up.
const PATIENCE: Span = Span::from_secs(1);
/// So many late records are looked at in one go.
const LATE_AT_ONCE: u32 = 1_000;

/// What a look at the journal found.
#[derive(Debug)]
pub struct TailBatch {
    /// The rules that it was looked for; a reload in between concerns later records.
    watching: Arc<WatchRules>,
    from: i64,
    to: i64,
    matches: Vec<Match>,
    /// Records that a rule still waits for.
    late: Vec<i64>,
    /// Late records that are settled now.
    settled: Vec<i64>,
    /// Keys and operations that turned out to have written before.
    seen: Vec<(FirstOf, String)>,
    /// Whether more records wait.
    pub is_full: bool,
}

impl TailBatch {
    /// Whether there is nothing to write down.
    pub fn is_empty(&self) -> bool {
        self.from == self.to && self.settled.is_empty()
    }

    /// How many records it read.
    pub fn records(&self) -> i64 {
        self.to - self.from
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

/// A record and a rule that it meets.
#[derive(Debug)]
struct Match {
    /// Its place among the rules.
    rule: usize,
    occurrence: Occurrence,
    first: Option<(FirstOf, String)>,
}

/// The record up to which rules have seen the journal; `None` where no rule has followed it.
pub fn watched_to(connection: &Connection) -> Result<Option<i64>> {
    Ok(meta::read(connection, "watched_to")?.and_then(|text| text.parse().ok()))
}

/// Reads at most so many records after one, and late ones, and finds what is to be told.
pub fn look(
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
        matches: Vec::new(),
        late: Vec::new(),
        settled: Vec::new(),
        seen: Vec::new(),
        is_full: false,
    };
    let mut eye =
        RuleMatcher { connection, watching, keys: HashMap::new(), firsts: HashSet::new() };
    eye.look_at_late(&mut look)?;
    // By the primary key.
    let mut statement = connection.prepare_cached(
        "SELECT id, time, subject, plan, api, method, path, operation, outcome, count, duration_ms
         FROM journal WHERE id > ?1 ORDER BY id LIMIT ?2",
    )?;
    let mut rows = statement.query(params![from, limit])?;
    let mut read = 0;
    while let Some(row) = rows.next()? {
        let outcome = record::outcome_of(row.get(8)?)?;
        let age = now.millis_since(Timestamp(row.get(1)?));
        if outcome == Outcome::Pending && age < PATIENCE.millis() {
            return Ok(look);
        }
        eye.look_at(row, outcome, Waiters::All, &mut look)?;
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
    /// First writes among what was looked at.
    firsts: HashSet<(FirstOf, String)>,
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
                let first = match first_of(rule, subject, write.api, text(7)?) {
                    FirstWrite::NotAsked => None,
                    FirstWrite::Nobody => continue,
                    FirstWrite::Of(kind, name) => {
                        if !self.is_first(kind, &name, subject, id, look)? {
                            continue;
                        }
                        Some((kind, name))
                    }
                };
                let occurrence = Occurrence { subject, count: row.get(9)?, sample: id };
                look.matches.push(Match { rule: place, occurrence, first });
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

    /// Whether nothing of this kind is known to have written before a record.
    fn is_first(
        &mut self,
        kind: FirstOf,
        name: &str,
        subject: i64,
        id: i64,
        look: &mut TailBatch,
    ) -> Result<bool> {
        let named = (kind, name.to_owned());
        if self.firsts.contains(&named) {
            // Several rules may wait for one first write; a later write is none.
            return Ok(look.matches.iter().any(|known| {
                known.occurrence.sample == id && known.first.as_ref() == Some(&named)
            }));
        }
        let mut statement = self
            .connection
            .prepare_cached("SELECT 1 FROM seen_first WHERE kind = ?1 AND subject = ?2")?;
        let is_seen = statement.query_row(params![kind.name(), name], |_| Ok(())).optional()?;
        if is_seen.is_some() {
            return Ok(false);
        }
        self.firsts.insert(named.clone());
        // The rule may be younger than what it speaks of.
        let has_written = match kind {
            FirstOf::Key => key_wrote_before(self.connection, subject, id)?,
            FirstOf::Operation => operation_wrote_before(self.connection, name, id)?,
        };
        if has_written {
            look.seen.push(named);
        }
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
        | Trigger::BudgetLevel { .. }
        | Trigger::KeyLocked
        | Trigger::KeyUnlocked
        | Trigger::WriteUnknown
        | Trigger::RefusedStorm
        | Trigger::StoreTrouble
        | Trigger::DeliveryFailed => FirstWrite::NotAsked,
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
    let query = listing::RecordQuery {
        api: Some(api.to_owned()),
        operation: Some(operation.to_owned()),
        before: Some(keystile_core::journal::RecordId(id)),
        limit: 1,
        ..listing::RecordQuery::default()
    };
    let found = listing::page(connection, &query)?.records;
    Ok(found.iter().any(|record| record.cost > 0))
}

impl WriteTx<'_> {
    /// Writes down what a look found, and moves the cursor. Another look that was faster makes this one
    /// nothing.
    pub fn tell_watched(&mut self, look: &TailBatch) -> Result<()> {
        let cursor = watched_to(self.connection)?;
        if cursor.is_some_and(|cursor| cursor != look.from) {
            return Ok(());
        }
        for (kind, name) in &look.seen {
            self.note_first(*kind, name)?;
        }
        self.tell_matches(&look.watching, &look.matches)?;
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
    pub fn begin_watching(&mut self, from: i64) -> Result<()> {
        if watched_to(self.connection)?.is_none() {
            meta::set(self.connection, "watched_to", &from.to_string())?;
        }
        Ok(())
    }

    /// No rule follows the journal any more; one that does again begins with what is new then.
    pub fn stop_watching(&mut self) -> Result<()> {
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

    /// Each rule's window on each channel is read and written once, however many records there are.
    fn tell_matches(&mut self, watching: &WatchRules, matches: &[Match]) -> Result<()> {
        let mut windows: Vec<(usize, &ChannelRule, OpenWindow)> = Vec::new();
        // One record is told on a channel once for each kind of event.
        let mut told: Vec<(TriggerKind, &str)> = Vec::new();
        let mut record = None;
        for found in matches {
            if record.replace(found.occurrence.sample) != Some(found.occurrence.sample) {
                told.clear();
            }
            if let Some((kind, name)) = &found.first {
                self.note_first(*kind, name)?;
            }
            let rule = &watching.rules()[found.rule];
            let kind = rule.trigger.kind();
            for channel in rule.tell.iter().filter_map(|name| watching.channel(name)) {
                let place = (kind, channel.name.as_str());
                if told.contains(&place) {
                    continue;
                }
                told.push(place);
                let is_it = |known: &(usize, &ChannelRule, OpenWindow)| {
                    known.0 == found.rule && std::ptr::eq(known.1, channel)
                };
                let at = if let Some(at) = windows.iter().position(is_it) {
                    at
                } else {
                    let open = OpenWindow::load(self.connection, &rule.name, &channel.name)?;
                    windows.push((found.rule, channel, open));
                    windows.len() - 1
                };
                self.tell_match(watching, rule, channel, &mut windows[at].2, &found.occurrence)?;
            }
        }
        for (place, channel, mut open) in windows {
            open.save(self.connection, &watching.rules()[place].name, &channel.name)?;
        }
        Ok(())
    }

    fn tell_match(
        &mut self,
        watching: &WatchRules,
        rule: &WatchRule,
        channel: &ChannelRule,
        open: &mut OpenWindow,
        occurrence: &Occurrence,
    ) -> Result<()> {
        // While a window counts, no condition matters.
        let conditions = match &open.window {
            Some(window) if self.now < window.until => {
                let (now, span) = (self.now, rule.window);
                Conditions { now, span, quiet_until: None, full_until: None }
            }
            Some(_) | None => self.conditions(watching, Some(rule), channel)?,
        };
        let kind = rule.trigger.kind();
        match open.place(rule, kind, occurrence, &conditions) {
            Disposition::Buffered => Ok(()),
            Disposition::SendNow => {
                let notice = self.write_notice(kind, occurrence)?;
                let thread = &open.thread;
                let new = NewMessage {
                    rule: &rule.name,
                    channel,
                    thread,
                    notice: &notice,
                    is_sequel: false,
                };
                self.send_message(&new).map(drop)
            }
        }
    }

    fn write_notice(&self, kind: TriggerKind, occurrence: &Occurrence) -> Result<Notice> {
        let mut notice = Notice::new(kind, self.now);
        notice.count = u64::from(occurrence.count);
        notice.key = notice_key(self.connection, occurrence.subject)?;
        notice.writes.extend(notice_write(self.connection, occurrence.sample)?);
        if let Some(write) = notice.writes.first() {
            notice.time = write.time;
        }
        Ok(notice)
    }
}
