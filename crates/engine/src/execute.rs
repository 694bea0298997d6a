//! Carrying out what an owner asks for.

use std::sync::Arc;

use keystile_core::api::Mode;
use keystile_core::decision::ApplicationState;
use keystile_core::key::{KeyId, KeyText, well_formed};
use keystile_core::lock::{Actor, Lock, LockLevel};
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::key::{self, KeyQuery, KeyRow, NewKeyRow};
use keystile_store::{backup, event, journal};
use uuid::Uuid;

use crate::command::{
    Answer, ApiView, ApplicationDetails, BudgetView, Budgets, Command, Failure, Finding,
    FindingLevel, KeyCounts, KeyDetails, KeyFilter, KeyView, NewKey, Order, RecordFilter,
    StatusView,
};
use crate::{Engine, view};

/// A listing never holds more than this in memory.
const LISTED_MAX: u32 = 10_000;
/// Keys issued in one command.
const CREATED_MAX: u32 = 1_000_000;
/// Keys issued in one transaction.
const CREATED_AT_ONCE: u32 = 5_000;
/// Events shown with a key.
const EVENTS_SHOWN: u32 = 50;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self {
            message,
            help: error.help(),
        }
    }
}

fn failure(message: impl Into<String>, help: &str) -> Failure {
    Failure {
        message: message.into(),
        help: Some(help.to_owned()),
    }
}

impl Engine {
    /// Carries out a command. What it changes is durable once this returns.
    pub async fn execute(self: &Arc<Self>, command: Command, actor: Actor) -> Answer {
        self.carry_out(command, actor)
            .await
            .unwrap_or_else(Answer::Failed)
    }

    async fn carry_out(
        self: &Arc<Self>,
        command: Command,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        match command {
            Command::Status => self.status(),
            Command::Reload => Err(failure(
                "no server is running here",
                "start one: keystile run",
            )),
            Command::CreateKeys {
                application,
                plan,
                count,
            } => self.create_keys(application, plan, count, actor).await,
            Command::ListKeys(filter) => self.list_keys(&filter).map(Answer::Keys),
            Command::ShowKey { key } => self.show_key(&key).await,
            Command::LockKey {
                key,
                level,
                reason,
                for_millis,
            } => self.lock_key(&key, level, reason, for_millis, actor).await,
            Command::UnlockKey { key, budgets } => self.unlock_key(&key, budgets, actor).await,
            Command::RollKey { key, grace_millis } => {
                self.roll_key(&key, grace_millis, actor).await
            }
            Command::RevokeKey { key } => self.revoke_key(&key, actor).await,
            Command::CreateApplication { name, plan } => {
                self.create_application(name, plan, actor).await
            }
            Command::ListApplications => {
                let rows = self.store.read(key::list_applications)?;
                Ok(Answer::Applications(
                    rows.into_iter().map(view::application).collect(),
                ))
            }
            Command::ShowApplication { application } => self.show_application(&application),
            Command::SetApplicationState { application, state } => {
                self.set_application_state(&application, state, actor).await
            }
            Command::ListRecords(filter) => self.list_records(&filter).await,
            Command::Backup { to } => {
                let contents = backup::backup(&self.store, &to)?;
                Ok(Answer::Done(format!(
                    "Backed up {} keys and {} records to {} ({} bytes) and verified the copy. It holds the pepper: keep it private.",
                    contents.keys,
                    contents.records,
                    to.display(),
                    contents.bytes
                )))
            }
            Command::Diagnose => self.diagnose(),
        }
    }

    fn check_plan(&self, plan: &str) -> Result<(), Failure> {
        let policy = self.policy();
        // Without a configuration nobody knows the plans: the data directory was named directly.
        if policy.plans().next().is_none() {
            return Ok(());
        }
        if policy
            .plan(plan)
            .is_some_and(|plan| !plan.spec().is_keyless)
        {
            return Ok(());
        }
        let mut names: Vec<_> = policy
            .plans()
            .filter(|plan| !plan.spec().is_keyless)
            .map(|plan| plan.name().to_owned())
            .collect();
        names.sort();
        let help = format!("the plans for keys are: {}", names.join(", "));
        Err(Failure {
            message: format!("there is no plan {plan} for keys"),
            help: Some(help),
        })
    }

    fn new_key(&self, plan: &str) -> (KeyText, NewKeyRow) {
        let text = KeyText::from_random(&self.settings.load().key_prefix, keystile_store::random());
        let row = NewKeyRow {
            id: KeyId::new(Uuid::now_v7()),
            hash: self.store.pepper().hash(text.expose().as_bytes()),
            prefix: text.display_prefix().to_owned(),
            plan: plan.to_owned(),
        };
        (text, row)
    }

    async fn create_keys(
        &self,
        application: String,
        plan: Option<String>,
        count: u32,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        check_name(&application)?;
        if !(1..=CREATED_MAX).contains(&count) {
            return Err(failure(
                format!("{count} keys cannot be issued at once"),
                "ask for 1 to 1000000",
            ));
        }
        if let Some(plan) = &plan {
            self.check_plan(plan)?;
        }
        let plan = match plan {
            Some(plan) => plan,
            None => self
                .store
                .read(|read| key::find_application(read, &application))
                .map(|known| known.plan)
                .map_err(|error| match error {
                    Error::Missing(_) => failure(
                        format!("the application {application} is new"),
                        "say which plan it gets: --plan PLAN",
                    ),
                    other => other.into(),
                })?,
        };
        let mut issued = Vec::new();
        while issued.len() < count as usize {
            let left = count - u32::try_from(issued.len()).unwrap_or(count);
            let keys: Vec<_> = (0..left.min(CREATED_AT_ONCE))
                .map(|_| self.new_key(&plan))
                .collect();
            let rows: Vec<_> = keys.iter().map(|(_, row)| row.clone()).collect();
            let (store, name, plan_name, by) = (
                self.store.clone(),
                application.clone(),
                plan.clone(),
                actor.clone(),
            );
            self.store
                .change(move |work| {
                    let (entry, _) = work.application_or_new(&name, Some(&plan_name), &by)?;
                    rows.iter()
                        .try_for_each(|row| work.create_key(&store, &entry, row, &by).map(|_| ()))
                })
                .await?;
            issued.extend(keys.into_iter().map(|(text, row)| NewKey {
                id: row.id.to_string(),
                key: text.expose().to_owned(),
                application: application.clone(),
                plan: plan.clone(),
            }));
        }
        Ok(Answer::NewKeys(issued))
    }

    /// A key by its id, its prefix, or its text, which is looked up by hash and kept nowhere.
    fn find_key(&self, text: &str) -> Result<KeyRow, Failure> {
        let found = if well_formed(text.as_bytes()) {
            let hash = self.store.pepper().hash(text.as_bytes());
            self.store.read(|read| key::find_key_by_hash(read, &hash))
        } else {
            self.store.read(|read| key::find_key(read, text))
        };
        found.map_err(|error| match error {
            Error::Missing(_) => failure(
                if well_formed(text.as_bytes()) {
                    "there is no such key".to_owned()
                } else {
                    format!("there is no key {text}")
                },
                "list them: keystile key list",
            ),
            other => other.into(),
        })
    }

    fn list_keys(&self, filter: &KeyFilter) -> Result<Vec<KeyView>, Failure> {
        let after = filter
            .after
            .as_deref()
            .map(|after| self.find_key(after))
            .transpose()?;
        let limit = if filter.limit == 0 {
            LISTED_MAX
        } else {
            filter.limit.min(LISTED_MAX)
        };
        let now = self.store.now();
        Ok(self.store.read(|read| {
            let application = filter
                .application
                .as_deref()
                .map(|name| key::find_application(read, name))
                .transpose()?;
            let mut query = KeyQuery {
                application_row: application.map(|application| application.row),
                plan: filter.plan.clone(),
                after_row: after.map_or(0, |after| after.row),
                limit,
            };
            let mut found = Vec::new();
            // A key's state depends on the time, so it is filtered here, a page at a time.
            loop {
                let page = key::list_keys(read, &query)?;
                let Some(last) = page.last().map(|row| row.row) else {
                    break;
                };
                let is_last_page = page.len() < limit as usize;
                for row in page {
                    let last_write = journal::last_of_subject(read, row.row)?;
                    let key = view::key(row, last_write, now);
                    if filter
                        .state
                        .as_ref()
                        .is_none_or(|state| *state == key.state)
                    {
                        found.push(key);
                    }
                }
                if is_last_page || found.len() >= limit as usize {
                    break;
                }
                query.after_row = last;
            }
            found.truncate(limit as usize);
            Ok(found)
        })?)
    }

    async fn show_key(&self, text: &str) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let (id, policy) = (row.id.clone(), self.policy());
        let plan = policy.plan(&row.plan).cloned();
        let budgets = match plan {
            Some(plan) => {
                let counted = self
                    .store
                    .change(move |work| work.budgets(&id, &policy, &plan))
                    .await?;
                counted
                    .into_iter()
                    .map(|budget| BudgetView {
                        name: budget.name,
                        quota: budget.quota.to_string(),
                        used: budget.used,
                        remaining: u64::from(budget.quota.amount).saturating_sub(budget.used),
                        frees_at: budget.frees_at,
                    })
                    .collect()
            }
            None => Vec::new(),
        };
        let now = self.store.now();
        let details = self.store.read(|read| {
            let events = event::list_of_key(read, row.row, EVENTS_SHOWN)?;
            let last_write = journal::last_of_subject(read, row.row)?;
            Ok(KeyDetails {
                key: view::key(row, last_write, now),
                budgets,
                events: events.into_iter().map(view::event).collect(),
            })
        })?;
        Ok(Answer::Key(Box::new(details)))
    }

    async fn lock_key(
        &self,
        text: &str,
        level: LockLevel,
        reason: String,
        for_millis: Option<i64>,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let span = for_millis
            .map(|millis| Span::from_millis(millis).ok_or_else(too_long))
            .transpose()?;
        let row = self.find_key(text)?;
        let id = row.id.clone();
        let until = self
            .store
            .change(move |work| {
                let (_, entry) = work.find_key(&id)?;
                let until = span.map(|span| work.now().plus(span));
                let lock = Lock {
                    level,
                    reason,
                    actor,
                    since: work.now(),
                    until,
                    evidence: None,
                };
                work.lock_key(&entry, &lock)?;
                Ok(until)
            })
            .await?;
        let stopped = match level {
            LockLevel::Writes => "its writes stop and its reads go on",
            LockLevel::All => "all its calls stop",
        };
        let end = until.map_or_else(
            || "until it is unlocked".to_owned(),
            |until| format!("until {until}"),
        );
        Ok(Answer::Done(format!(
            "Locked {} of {}: {stopped}, {end}.",
            row.prefix, row.application
        )))
    }

    async fn unlock_key(
        &self,
        text: &str,
        budgets: Budgets,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let id = row.id.clone();
        let was_locked = self
            .store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                if row.revoked.is_some() {
                    return Err(Error::Conflict(
                        "a revoked key cannot be unlocked: create a new key".to_owned(),
                    ));
                }
                let detail = match budgets {
                    Budgets::Keep => "unlocked; what was counted stays counted",
                    Budgets::Reset => "unlocked; its budgets begin anew",
                };
                if budgets == Budgets::Reset {
                    work.reset_budgets(&entry)?;
                }
                let was_locked = row.lock.is_some();
                if was_locked || budgets == Budgets::Reset {
                    work.unlock_key(&entry, &actor, detail)?;
                }
                Ok(was_locked)
            })
            .await?;
        let (prefix, application) = (&row.prefix, &row.application);
        Ok(Answer::Done(match (was_locked, budgets) {
            (true, Budgets::Keep) => format!("Unlocked {prefix} of {application}."),
            (true, Budgets::Reset) => {
                format!("Unlocked {prefix} of {application}; its budgets begin anew.")
            }
            (false, Budgets::Keep) => format!("{prefix} of {application} was not locked."),
            (false, Budgets::Reset) => {
                format!("The budgets of {prefix} of {application} begin anew; it was not locked.")
            }
        }))
    }

    async fn roll_key(
        &self,
        text: &str,
        grace_millis: i64,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let grace = Span::from_millis(grace_millis).ok_or_else(too_long)?;
        let row = self.find_key(text)?;
        let (new_text, new_row) = self.new_key(&row.plan);
        let (id, store, issued) = (row.id.clone(), self.store.clone(), new_row.id.to_string());
        self.store
            .change(move |work| {
                let old = work.find_key(&id)?;
                let ends = work.now().plus(grace);
                work.roll_key(&store, &old, &new_row, ends, &actor)
                    .map(|_| ())
            })
            .await?;
        let key = NewKey {
            id: issued,
            key: new_text.expose().to_owned(),
            application: row.application,
            plan: row.plan,
        };
        Ok(Answer::NewKeys(vec![key]))
    }

    async fn revoke_key(&self, text: &str, actor: Actor) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let id = row.id.clone();
        self.store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                match row.revoked {
                    Some(_) => Ok(()),
                    None => work.revoke_key(&entry, &actor, "revoked for good"),
                }
            })
            .await?;
        Ok(Answer::Done(format!(
            "Revoked {} of {} for good.",
            row.prefix, row.application
        )))
    }

    async fn create_application(
        &self,
        name: String,
        plan: String,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        check_name(&name)?;
        self.check_plan(&plan)?;
        let shown = name.clone();
        self.store
            .change(move |work| work.create_application(&name, &plan, &actor).map(|_| ()))
            .await?;
        self.show_application(&shown)
    }

    fn show_application(&self, name: &str) -> Result<Answer, Failure> {
        let row = self
            .store
            .read(|read| key::find_application(read, name))
            .map_err(|error| match error {
                Error::Missing(what) => failure(
                    format!("there is no {what}"),
                    "list them: keystile application list",
                ),
                other => other.into(),
            })?;
        let filter = KeyFilter {
            application: Some(row.name.clone()),
            ..KeyFilter::default()
        };
        let keys_list = self.list_keys(&filter)?;
        Ok(Answer::Application(Box::new(ApplicationDetails {
            application: view::application(row),
            keys_list,
        })))
    }

    async fn set_application_state(
        &self,
        name: &str,
        state: ApplicationState,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        let row = self.store.read(|read| key::find_application(read, name))?;
        if row.state != state {
            self.store
                .change(move |work| work.set_application_state(row.row, state, &actor))
                .await?;
        }
        Ok(Answer::Done(match state {
            ApplicationState::Active => format!("{} may call again.", row.name),
            ApplicationState::Suspended => {
                format!("Suspended {}: none of its keys may call.", row.name)
            }
        }))
    }

    async fn list_records(&self, filter: &RecordFilter) -> Result<Answer, Failure> {
        self.write_refused();
        // A store that cannot commit can still be read.
        let _ = self.store.flush().await;
        let key = filter
            .key
            .as_deref()
            .map(|key| self.find_key(key))
            .transpose()?;
        Ok(self.store.read(|read| {
            let mut subjects = key.map(|key| vec![key.row]);
            if let Some(name) = &filter.application {
                let application = key::find_application(read, name)?;
                let query = KeyQuery {
                    application_row: Some(application.row),
                    limit: LISTED_MAX,
                    ..KeyQuery::default()
                };
                let of_application: Vec<i64> = key::list_keys(read, &query)?
                    .iter()
                    .map(|key| key.row)
                    .collect();
                let asked = subjects.take();
                subjects = Some(match asked {
                    Some(asked) => asked
                        .into_iter()
                        .filter(|row| of_application.contains(row))
                        .collect(),
                    None => of_application,
                });
            }
            let (before, after) = match filter.order {
                Order::Latest => (None, None),
                Order::Before(id) => (Some(id), None),
                Order::After(id) => (None, Some(id)),
                Order::Only(id) => (
                    Some(keystile_core::journal::RecordId(id.0.saturating_add(1))),
                    Some(keystile_core::journal::RecordId(id.0.saturating_sub(1))),
                ),
            };
            let query = journal::RecordQuery {
                subjects,
                api: filter.api.clone(),
                operation: filter.operation.clone(),
                method: filter.method.clone(),
                outcome: filter.outcome,
                since: filter.since,
                until: filter.until,
                before,
                after,
                direction: match filter.order {
                    Order::Latest | Order::Before(_) | Order::Only(_) => {
                        journal::Direction::LatestFirst
                    }
                    Order::After(_) => journal::Direction::EarliestFirst,
                },
                limit: if filter.limit == 0 {
                    LISTED_MAX
                } else {
                    filter.limit.min(LISTED_MAX)
                },
            };
            journal::list(read, &query).map(Answer::Records)
        })?)
    }

    fn status(&self) -> Result<Answer, Failure> {
        let now = self.store.now();
        let policy = self.policy();
        let server = self.server.get();
        let (records, writes_today, keys) = self.store.read(|read| {
            let day_ago = Timestamp(now.0 - 86_400_000);
            Ok((
                journal::count(read)?,
                journal::count_since(read, day_ago)?,
                key::count_states(read, now)?,
            ))
        })?;
        let mut plans: Vec<_> = policy.plans().map(|plan| plan.name().to_owned()).collect();
        plans.sort();
        let api = |api: &Arc<keystile_core::api::Api>| ApiView {
            name: api.name().to_owned(),
            mode: match api.spec().mode {
                Mode::Off => "off",
                Mode::Observe => "observe",
                Mode::Enforce => "enforce",
            }
            .to_owned(),
            upstream: api
                .spec()
                .upstream
                .origins
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        Ok(Answer::Status(Box::new(StatusView {
            running: server.is_some(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: server.map(|server| server.started),
            gate: server.map(|server| server.gate.clone()).unwrap_or_default(),
            console: server.map(|server| server.console.clone()),
            data: self.store.directory().path().to_owned(),
            apis: policy.apis().iter().map(api).collect(),
            plans,
            policy: self.policy_note.load().to_string(),
            keys: KeyCounts {
                active: keys[0],
                locked: keys[1],
                revoked: keys[2],
            },
            records,
            writes_today,
            store_bytes: store_bytes(&self.store.directory().database()),
            store: self.store.fault().unwrap_or_else(|| "ok".to_owned()),
        })))
    }

    fn diagnose(&self) -> Result<Answer, Failure> {
        let good = |subject: &str, message: String| Finding {
            level: FindingLevel::Good,
            subject: subject.to_owned(),
            message,
            help: None,
        };
        let mut findings = vec![match self.store.fault() {
            None => good("commits", "the store records what it should".to_owned()),
            Some(fault) => Finding {
                level: FindingLevel::Problem,
                subject: "commits".to_owned(),
                message: format!("the store cannot commit: {fault}"),
                help: Some(
                    "make room on the disk, or make it writable; writes go on by themselves"
                        .to_owned(),
                ),
            },
        }];
        let sound = self.store.read(keystile_store::check)?;
        findings.push(match sound {
            None => good("database", "the file is sound".to_owned()),
            Some(fault) => Finding {
                level: FindingLevel::Problem,
                subject: "database".to_owned(),
                message: fault,
                help: Some("stop Keystile, keep a copy, and restore the latest backup".to_owned()),
            },
        });
        let drift = keystile_store::clock::wall_clock().0 - self.store.now().0;
        findings.push(if drift.abs() <= 5_000 {
            good("clock", "the store's clock and the wall clock agree".to_owned())
        } else {
            Finding {
                level: FindingLevel::Warning,
                subject: "clock".to_owned(),
                message: format!("the wall clock is {} s from the store's clock", drift / 1000),
                help: Some("budgets stay exact; the times in the journal follow at the next boot of the machine".to_owned()),
            }
        });
        let policy = self.policy();
        let missing: Vec<String> = self
            .store
            .read(key::plans_in_use)?
            .into_iter()
            .filter(|plan| policy.plan(plan).is_none())
            .collect();
        findings.push(if missing.is_empty() || policy.apis().is_empty() {
            good("plans", "every key's plan is in the policy".to_owned())
        } else {
            Finding {
                level: FindingLevel::Warning,
                subject: "plans".to_owned(),
                message: format!(
                    "keys are on plans that the policy does not have: {}",
                    missing.join(", ")
                ),
                help: Some(
                    "add the plans to the configuration, or give the keys' applications new keys"
                        .to_owned(),
                ),
            }
        });
        Ok(Answer::Diagnosis(findings))
    }
}

fn store_bytes(database: &std::path::Path) -> u64 {
    let size =
        |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(database) + size(&database.with_extension("db-wal"))
}

fn too_long() -> Failure {
    failure(
        "that length of time is out of bounds",
        "give at least 1 ms and at most 400 days",
    )
}

/// Names are shown in messages and lists, so they are short and without control characters.
fn check_name(name: &str) -> Result<(), Failure> {
    let is_fine = !name.trim().is_empty()
        && name.chars().count() <= 100
        && !name.chars().any(char::is_control);
    if is_fine && name.trim() == name && !name.starts_with("app_") {
        return Ok(());
    }
    Err(failure(
        "an application's name has 1 to 100 characters, none of them a control character, no blanks around it, and does not begin with app_",
        "for example: --application reader-app",
    ))
}
