//! Telling: from an event to deliveries, or into the window of a digest, in the event's transaction.

use std::collections::HashSet;
use std::sync::Arc;

use keystile_core::budget::Quota;
use keystile_core::journal::RecordId;
use keystile_core::lock::{Actor, Lock};
use keystile_core::notifications::channel::ChannelRule;
use keystile_core::notifications::grouping::{
    self, Conditions, DigestCounts, Disposition, Occurrence, Urgency, Window,
};
use keystile_core::notifications::notice::{
    Notice, NoticeBudget, NoticeEvent, NoticeKey, NoticeOffender, NoticeWrite,
};
use keystile_core::notifications::watch::{KeyFacts, TriggerKind, WINDOW, WatchRule, WatchRules};
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::{Error, Result};
use crate::key_cache::KeyEntry;
use crate::reservation::BudgetStanding;
use crate::sqlite::audit::event::EventKind;
use crate::sqlite::journal::record::outcome_of;
use crate::sqlite::notifications::outbox::{DeliveryRow, NewMessage, full_until, kind_of};
use crate::sqlite::writer::write_tx::WriteTx;

/// A digest names so many of those who caused most.
const OFFENDERS_SHOWN: usize = 5;

/// Which channels may hear of an event.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Channels<'a> {
    /// All that its rules name.
    All,
    /// All but the one that failed.
    AllBut(&'a str),
}

/// What is told, and what it belongs together with.
pub(crate) struct Telling<'a> {
    pub(crate) notice: Notice,
    pub(crate) thread: Option<String>,
    pub(crate) occurrence: Occurrence,
    pub(crate) channels: Channels<'a>,
}

impl WriteTx<'_> {
    pub(crate) fn watching(&self) -> Arc<WatchRules> {
        self.memory.watching.load_full()
    }

    /// Tells an event by the rules that wait for it; each channel once, by the first rule that names it.
    pub(crate) fn tell_by<'r>(
        &mut self,
        watching: &WatchRules,
        rules: impl Iterator<Item = &'r WatchRule>,
        telling: &Telling<'_>,
    ) -> Result<()> {
        let mut told = HashSet::new();
        for rule in rules {
            for channel in rule.tell.iter().filter_map(|name| watching.channel(name)) {
                let is_out = match telling.channels {
                    Channels::All => false,
                    Channels::AllBut(name) => name == channel.name,
                };
                if !is_out && told.insert(channel.name.as_str()) {
                    self.tell_on(watching, rule, channel, telling)?;
                }
            }
        }
        Ok(())
    }

    fn tell_on(
        &mut self,
        watching: &WatchRules,
        rule: &WatchRule,
        channel: &ChannelRule,
        telling: &Telling<'_>,
    ) -> Result<()> {
        let notice = &telling.notice;
        let urgency = notice.trigger.urgency();
        let thread = match urgency {
            Urgency::AtOnce => telling.thread.clone().unwrap_or_else(|| rule.name.clone()),
            Urgency::Grouped => {
                let conditions = self.conditions(watching, Some(rule), channel)?;
                let mut open = OpenWindow::load(self.connection, &rule.name, &channel.name)?;
                let placed = open.place(rule, notice.trigger, &telling.occurrence, &conditions);
                open.save(self.connection, &rule.name, &channel.name)?;
                match placed {
                    Disposition::Buffered => return Ok(()),
                    Disposition::SendNow => telling.thread.clone().unwrap_or(open.thread),
                }
            }
        };
        self.send_message(&NewMessage {
            rule: &rule.name,
            channel,
            thread: &thread,
            notice,
            is_sequel: false,
        })?;
        Ok(())
    }

    /// What holds for a rule on a channel now.
    pub(crate) fn conditions(
        &self,
        watching: &WatchRules,
        rule: Option<&WatchRule>,
        channel: &ChannelRule,
    ) -> Result<Conditions> {
        Ok(Conditions {
            now: self.now,
            span: rule.map_or(WINDOW, |rule| rule.window),
            quiet_until: rule.and_then(|rule| watching.quiet_until(rule, self.now)),
            full_until: full_until(self.connection, channel, self.now)?,
        })
    }

    /// Tells of windows that are due, each as one message. A window whose rule is gone ends with what it
    /// has; one whose channel is gone has nobody to tell.
    pub fn close_digests(&mut self) -> Result<usize> {
        let watching = self.watching();
        let mut statement =
            self.connection.prepare_cached("SELECT rule, channel FROM digest WHERE until <= ?1")?;
        let due: Vec<(String, String)> = statement
            .query_and_then([self.now.0], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_>>()?;
        let mut told = 0;
        for (rule_name, channel_name) in due {
            let mut open = OpenWindow::load(self.connection, &rule_name, &channel_name)?;
            let Some(channel) = watching.channel(&channel_name) else {
                tracing::warn!(
                    channel = channel_name,
                    "a channel is gone, and with it what it was still to tell"
                );
                open.window = None;
                open.save(self.connection, &rule_name, &channel_name)?;
                continue;
            };
            let rule = watching.rule(&rule_name);
            let conditions = self.conditions(&watching, rule, channel)?;
            let ended = grouping::close(&mut open.window, &conditions);
            open.save(self.connection, &rule_name, &channel_name)?;
            if let Some((since, counts)) = ended {
                let notice = self.digest_notice(open.kind, since, &counts)?;
                let thread = &open.thread;
                self.send_message(&NewMessage {
                    rule: &rule_name,
                    channel,
                    thread,
                    notice: &notice,
                    is_sequel: counts.is_sequel,
                })?;
                told += 1;
            }
        }
        Ok(told)
    }

    fn digest_notice(
        &self,
        kind: TriggerKind,
        since: Timestamp,
        counts: &DigestCounts,
    ) -> Result<Notice> {
        let mut notice = Notice::new(kind, self.now);
        notice.since = Some(since);
        notice.count = counts.count;
        for offender in counts.offenders.iter().take(OFFENDERS_SHOWN) {
            notice.offenders.push(NoticeOffender {
                key: notice_key(self.connection, offender.subject)?,
                count: offender.count,
                inherited: offender.inherited,
            });
        }
        if let [only] = notice.offenders.as_slice() {
            notice.key.clone_from(&only.key);
        }
        if kind.is_of_writes() {
            for record in &counts.samples {
                notice.writes.extend(notice_write(self.connection, *record)?);
            }
        } else {
            notice.events = self.events_of(&counts.samples)?;
            let details = notice.events.iter().map(|event| event.detail.as_str());
            notice.detail = details.collect::<Vec<_>>().join("; ");
        }
        Ok(notice)
    }

    fn events_of(&self, events: &[i64]) -> Result<Vec<NoticeEvent>> {
        let mut statement =
            self.connection.prepare_cached("SELECT time, key, detail FROM event WHERE id = ?1")?;
        let mut found = Vec::new();
        for event in events {
            let row = statement.query_row([event], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?))
            });
            if let Some((time, key, detail)) = row.optional()? {
                let key = key.map(|row| notice_key(self.connection, row)).transpose()?.flatten();
                found.push(NoticeEvent { time: Timestamp(time), key, detail });
            }
        }
        Ok(found)
    }

    /// Tells of something that concerns a key, which was just written as an event.
    pub(crate) fn tell_of_key(
        &mut self,
        kind: TriggerKind,
        key: &KeyEntry,
        fill: impl FnOnce(&mut Notice),
    ) -> Result<()> {
        let watching = self.watching();
        if watching.of_kind(kind).next().is_none() {
            return Ok(());
        }
        let named = notice_key(self.connection, key.row)?;
        let rules: Vec<_> = watching.of_key(kind, key_facts(named.as_ref())).collect();
        let mut notice = Notice::new(kind, self.now);
        let thread = named.as_ref().map(|key| key.id.clone());
        notice.key.clone_from(&named);
        fill(&mut notice);
        let occurrence =
            Occurrence { subject: key.row, count: 1, sample: self.memory.audit.last_event() };
        let telling = Telling { notice, thread, occurrence, channels: Channels::All };
        self.tell_by(&watching, rules.into_iter(), &telling)
    }

    /// Tells of something that concerns no key, and writes it as an event.
    pub fn tell_trouble(
        &mut self,
        trigger: TriggerKind,
        kind: EventKind,
        detail: &str,
    ) -> Result<()> {
        self.tell_of(kind, None, &Actor::System, detail)?;
        self.tell_without_key(trigger, detail, Channels::All)
    }

    fn tell_without_key(
        &mut self,
        trigger: TriggerKind,
        detail: &str,
        channels: Channels<'_>,
    ) -> Result<()> {
        let watching = self.watching();
        let mut notice = Notice::new(trigger, self.now);
        detail.clone_into(&mut notice.detail);
        let sample = self.memory.audit.last_event();
        let occurrence = Occurrence { subject: 0, count: 1, sample };
        let telling = Telling { notice, thread: None, occurrence, channels };
        self.tell_by(&watching, watching.of_kind(trigger), &telling)
    }

    /// Tells that a key, or callers from an address, are refused over and over.
    pub fn tell_refused_storm(&mut self, key: Option<&Arc<KeyEntry>>, detail: &str) -> Result<()> {
        match key {
            Some(key) => {
                self.tell(EventKind::RefusedStorm, key, &Actor::System, detail)?;
                let fill = |notice: &mut Notice| detail.clone_into(&mut notice.detail);
                self.tell_of_key(TriggerKind::RefusedStorm, key, fill)
            }
            None => self.tell_trouble(TriggerKind::RefusedStorm, EventKind::RefusedStorm, detail),
        }
    }

    /// A delivery has failed for good. It is told where it can arrive: on the other channels. That one of
    /// these messages fails as well is not told, or two dead channels would tell of each other for ever.
    pub(crate) fn delivery_failed(&mut self, delivery: &DeliveryRow, said: &str) -> Result<()> {
        let to = match &delivery.receiver {
            Some(receiver) => format!("{} ({receiver})", delivery.channel),
            None => delivery.channel.clone(),
        };
        let detail = format!("{} to {to} was not delivered: {said}", delivery.id);
        let subject = Some(delivery.channel.as_str());
        self.tell_of(EventKind::DeliveryFailed, subject, &Actor::System, &detail)?;
        if delivery.kind == TriggerKind::DeliveryFailed {
            return Ok(());
        }
        let channels = Channels::AllBut(&delivery.channel);
        self.tell_without_key(TriggerKind::DeliveryFailed, &detail, channels)
    }

    /// Tells of a lock that is on a key from now on.
    pub(crate) fn tell_locked(
        &mut self,
        key: &KeyEntry,
        lock: &Lock,
        budget: Option<NoticeBudget>,
    ) -> Result<()> {
        self.tell_of_key(TriggerKind::KeyLocked, key, |notice| {
            notice.budget = budget;
            notice.lock = Some(lock.clone());
            notice.actor = Some(lock.actor.to_string());
            notice.detail.clone_from(&lock.reason);
        })
    }

    /// Tells that a lock is gone.
    pub(crate) fn tell_unlocked(
        &mut self,
        key: &KeyEntry,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        self.tell_of_key(TriggerKind::KeyUnlocked, key, |notice| {
            notice.actor = Some(actor.to_string());
            detail.clone_into(&mut notice.detail);
        })
    }

    /// Tells that a write brought budgets to a level that a rule waits for. Called on the way of every
    /// write, so what usually holds, that no level is reached, is found by arithmetic alone.
    pub(crate) fn tell_levels(
        &mut self,
        key: &KeyEntry,
        policy: &Policy,
        plan: &Plan,
        standings: &[BudgetStanding],
        cost: u32,
    ) -> Result<()> {
        let watching = self.memory.watching.load();
        let Some(lowest) = watching.lowest_level() else {
            return Ok(());
        };
        let is_near = |standing: &&BudgetStanding| {
            let amount = u64::from(plan.budgets()[standing.place].quota.amount);
            standing.used * 100 >= amount * u64::from(lowest)
        };
        let near: Vec<&BudgetStanding> = standings.iter().filter(is_near).collect();
        if near.is_empty() {
            return Ok(());
        }
        let watching = Arc::clone(&watching);
        for standing in near {
            for rule in watching.of_kind(TriggerKind::BudgetLevel) {
                let budget = &plan.budgets()[standing.place];
                let before = standing.used.saturating_sub(u64::from(cost));
                let amount = budget.quota.amount;
                let Some(level) = rule.level_reached(amount, before, standing.used) else {
                    continue;
                };
                let told = NoticeBudget {
                    name: budget.name.clone(),
                    quota: budget.quota.to_string(),
                    amount,
                    used: standing.used,
                    level: Some(level),
                };
                self.tell_level(&watching, rule, key, policy, budget.quota, told, level)?;
            }
        }
        Ok(())
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "all of it is one fact, on its way to one message"
    )]
    fn tell_level(
        &mut self,
        watching: &WatchRules,
        rule: &WatchRule,
        key: &KeyEntry,
        policy: &Policy,
        quota: Quota,
        budget: NoticeBudget,
        level: u8,
    ) -> Result<()> {
        let named = notice_key(self.connection, key.row)?;
        if !rule.fits(key_facts(named.as_ref())) {
            return Ok(());
        }
        let until = quota.window.passed_at(self.now, policy.time_zone());
        // Once per window, unless a higher level is reached in it.
        let is_new = self
            .connection
            .prepare_cached(
                "INSERT INTO level_told (rule, key, budget, level, until) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT DO UPDATE SET level = excluded.level, until = excluded.until
                 WHERE level < excluded.level OR until <= ?6",
            )?
            .execute(params![rule.name, key.row, budget.name, level, until.0, self.now.0])?;
        if is_new == 0 {
            return Ok(());
        }
        let detail = format!(
            "used {} of {}, {level} % of the write budget {}",
            budget.used, budget.quota, budget.name
        );
        self.tell(
            EventKind::BudgetLevelReached,
            key,
            &Actor::Budget(budget.name.clone()),
            &detail,
        )?;
        let mut notice = Notice::new(TriggerKind::BudgetLevel, self.now);
        notice.key = named;
        notice.budget = Some(budget);
        notice.detail = detail;
        let sample = self.memory.audit.last_event();
        let occurrence = Occurrence { subject: key.row, count: 1, sample };
        let thread = notice.key.as_ref().map(|key| key.id.clone());
        let telling = Telling { notice, thread, occurrence, channels: Channels::All };
        self.tell_by(watching, std::iter::once(rule), &telling)
    }

    /// Budgets that begin anew reach their levels anew.
    pub(crate) fn forget_levels(&self, key_row: i64) -> Result<()> {
        self.connection
            .prepare_cached("DELETE FROM level_told WHERE key = ?1")?
            .execute([key_row])?;
        Ok(())
    }

    /// Writes down that trouble of the store is over, and tells what it was.
    pub fn tell_store_trouble(&mut self, detail: &str) -> Result<()> {
        self.tell_trouble(TriggerKind::StoreTrouble, EventKind::StoreTrouble, detail)
    }
}

/// The window of a rule on a channel as the database keeps it.
pub(crate) struct OpenWindow {
    pub(crate) window: Option<Window>,
    /// What belongs together: everything of one storm.
    pub(crate) thread: String,
    pub(crate) kind: TriggerKind,
    was_there: bool,
}

impl OpenWindow {
    pub(crate) fn load(connection: &Connection, rule: &str, channel: &str) -> Result<Self> {
        // By the primary key.
        let mut statement = connection.prepare_cached(
            "SELECT opened, until, step, tally, thread, kind FROM digest WHERE rule = ?1 AND channel = ?2",
        )?;
        let found: Option<Result<Self>> = statement
            .query_and_then([rule, channel], |row| {
                let (counts, kind): (String, String) = (row.get(3)?, row.get(5)?);
                let counts = serde_json::from_str(&counts)
                    .map_err(|error| Error::Corrupt(format!("a digest cannot be read: {error}")))?;
                let window = Window {
                    opened: Timestamp(row.get(0)?),
                    until: Timestamp(row.get(1)?),
                    step: row.get(2)?,
                    counts,
                };
                let (thread, kind) = (row.get(4)?, kind_of(&kind)?);
                Ok(Self { window: Some(window), thread, kind, was_there: true })
            })?
            .next();
        let none = Self {
            window: None,
            thread: String::new(),
            kind: TriggerKind::Write,
            was_there: false,
        };
        Ok(found.transpose()?.unwrap_or(none))
    }

    /// Places an event; a storm that begins gets a thread of its own.
    pub(crate) fn place(
        &mut self,
        rule: &WatchRule,
        kind: TriggerKind,
        occurrence: &Occurrence,
        conditions: &Conditions,
    ) -> Disposition {
        let before = self.window.as_ref().map(|window| window.opened);
        let placed = grouping::place(&mut self.window, occurrence, Urgency::Grouped, conditions);
        self.kind = kind;
        let after = self.window.as_ref().map(|window| window.opened);
        if before != after || self.thread.is_empty() {
            self.thread = format!("{}-{}", rule.name, conditions.now.0);
        }
        placed
    }

    pub(crate) fn save(
        &mut self,
        connection: &Connection,
        rule: &str,
        channel: &str,
    ) -> Result<()> {
        let Some(window) = &self.window else {
            if self.was_there {
                connection
                    .prepare_cached("DELETE FROM digest WHERE rule = ?1 AND channel = ?2")?
                    .execute([rule, channel])?;
                self.was_there = false;
            }
            return Ok(());
        };
        connection
            .prepare_cached(
                "INSERT OR REPLACE INTO digest (rule, channel, kind, thread, opened, until, step, tally)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                rule,
                channel,
                self.kind.name(),
                self.thread,
                window.opened.0,
                window.until.0,
                window.step,
                serde_json::to_string(&window.counts).expect("counts are numbers"),
            ])?;
        self.was_there = true;
        Ok(())
    }
}

pub(crate) fn key_facts(key: Option<&NoticeKey>) -> KeyFacts<'_> {
    key.map_or_else(KeyFacts::default, |key| KeyFacts {
        id: Some(&key.id),
        prefix: Some(&key.prefix),
        application: Some(&key.application),
        plan: Some(&key.plan),
    })
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
