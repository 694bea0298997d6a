//! Changes that owners ask for: each is one function, run in a transaction of the writer.

use std::sync::Arc;

use keystile_core::budget::Quota;
use keystile_core::decision::ApplicationState;
use keystile_core::key::ApplicationId;
use keystile_core::lock::Actor;
use keystile_core::policy::{Budget, Plan, Policy};
use keystile_core::time::Timestamp;
use rusqlite::params;
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::event::{self, Event, EventKind};
use crate::key::{self, KeyRow, NewKeyRow};
use crate::ledger::Debit;
use crate::table::{ApplicationEntry, KeyEntry};
use crate::work::Work;
use crate::{Store, journal};

impl Work<'_> {
    /// Creates an application.
    pub fn create_application(
        &mut self,
        name: &str,
        plan: &str,
        actor: &Actor,
    ) -> Result<Arc<ApplicationEntry>> {
        let id = ApplicationId::new(Uuid::now_v7());
        let entry = key::insert_application(
            self.connection,
            &mut self.memory.rows,
            id,
            name,
            plan,
            self.now,
        )?;
        let detail = format!("created with the plan {plan}");
        self.tell_of_application(EventKind::ApplicationCreated, entry.row, actor, &detail)?;
        Ok(entry)
    }

    /// The application with a name, which is created when it is new, and its plan.
    pub fn application_or_new(
        &mut self,
        name: &str,
        plan: Option<&str>,
        actor: &Actor,
    ) -> Result<(Arc<ApplicationEntry>, String)> {
        match (key::find_application(self.connection, name), plan) {
            (Ok(known), plan) => {
                let plan = plan.map_or(known.plan, str::to_owned);
                Ok((self.application_entry(known.row)?, plan))
            }
            (Err(Error::Missing(_)), Some(plan)) => {
                Ok((self.create_application(name, plan, actor)?, plan.to_owned()))
            }
            (Err(Error::Missing(_)), None) => Err(Error::Conflict(format!(
                "the application {name} is new: say which plan it gets"
            ))),
            (Err(error), _) => Err(error),
        }
    }

    /// Issues a key. The table knows it once the transaction is durable.
    pub fn create_key(
        &mut self,
        store: &Arc<Store>,
        application: &Arc<ApplicationEntry>,
        new: &NewKeyRow,
        actor: &Actor,
    ) -> Result<Arc<KeyEntry>> {
        let entry =
            key::insert_key(self.connection, &mut self.memory.rows, application, new, self.now)?;
        let detail = format!("issued as {} on the plan {}", new.prefix, new.plan);
        let (kind, key) = (EventKind::KeyCreated, Some(entry.row));
        let event = Event { kind, key, application: Some(application.row), actor, detail: &detail };
        event::insert(self.connection, self.now, &event)?;
        let (store, hash, shared) = (store.clone(), new.hash, entry.clone());
        self.after_commit(move || store.keys.insert(hash, shared));
        Ok(entry)
    }

    /// Issues a key's successor; the old key ends at a time.
    pub fn roll_key(
        &mut self,
        store: &Arc<Store>,
        old: &(KeyRow, Arc<KeyEntry>),
        new: &NewKeyRow,
        ends: Timestamp,
        actor: &Actor,
    ) -> Result<Arc<KeyEntry>> {
        let (row, entry) = old;
        // A key that has ended by its last rolling would come back to life.
        if row.revoked.is_some() || row.expires.is_some_and(|ends| ends <= self.now) {
            return Err(Error::Conflict(
                "a revoked key has no successor: create a new key".to_owned(),
            ));
        }
        let successor = self.create_key(store, &entry.application, new, actor)?;
        // A lock passes on, or rolling would be a way around it.
        if let Some(lock) = row.lock.as_ref().filter(|lock| lock.holds_at(self.now)) {
            self.lock_key(&successor, lock)?;
        }
        self.expire_key(entry, ends, actor, &format!("its successor is {}", new.prefix))?;
        Ok(successor)
    }

    /// Suspends or resumes an application.
    pub fn set_application_state(
        &mut self,
        row: i64,
        state: ApplicationState,
        actor: &Actor,
    ) -> Result<()> {
        let (kind, text, detail) = match state {
            ApplicationState::Active => {
                (EventKind::ApplicationResumed, "active", "its keys may call again")
            }
            ApplicationState::Suspended => {
                (EventKind::ApplicationSuspended, "suspended", "none of its keys may call")
            }
        };
        self.connection
            .execute("UPDATE application SET state = ?2 WHERE id = ?1", params![row, text])?;
        self.tell_of_application(kind, row, actor, detail)?;
        let entry = self.application_entry(row)?;
        self.after_commit(move || entry.set_state(state));
        Ok(())
    }

    /// Deletes records before a time, some at once. Says how many went.
    pub fn delete_records_before(&mut self, time: Timestamp, limit: u32) -> Result<usize> {
        journal::delete_before(self.connection, time, limit)
    }

    fn tell_of_application(
        &self,
        kind: EventKind,
        row: i64,
        actor: &Actor,
        detail: &str,
    ) -> Result<()> {
        event::insert(
            self.connection,
            self.now,
            &Event { kind, key: None, application: Some(row), actor, detail },
        )
    }
}

/// A budget of a key, as counted now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedBudget {
    /// Its name.
    pub name: String,
    /// Its quota.
    pub quota: Quota,
    /// What counts now.
    pub used: u64,
    /// When the first of that leaves the window.
    pub frees_at: Option<Timestamp>,
}

impl Work<'_> {
    /// How all budgets of a key stand.
    pub fn budgets(
        &mut self,
        key: &str,
        policy: &Policy,
        plan: &Arc<Plan>,
    ) -> Result<Vec<CountedBudget>> {
        let (row, _) = self.find_key(key)?;
        let budgets: Vec<usize> = (0..plan.budgets().len()).collect();
        let debit = Debit { subject: row.row, policy, plan, budgets: &budgets, cost: 0 };
        self.memory.ledger.open(self.connection, &self.memory.index, &debit, self.now)?;
        let standings = self.memory.ledger.standings(&debit, self.now);
        Ok(standings
            .into_iter()
            .map(|standing| {
                let Budget { name, quota, .. } = plan.budgets()[standing.place].clone();
                let used = standing.used;
                let frees_at = (used > 0).then_some(standing.frees_at);
                CountedBudget { name, quota, used, frees_at }
            })
            .collect())
    }
}
