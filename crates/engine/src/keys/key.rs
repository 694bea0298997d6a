//! What owners do with keys.

use keystile_core::key::{KeyId, KeyText, well_formed};
use keystile_core::label::Label;
use keystile_core::lock::{Actor, Lock, LockChange, LockLevel};
use keystile_core::policy::example_call::Wanted;
use keystile_core::time::{Span, Timestamp};
use keystile_store::error::Error;
use keystile_store::sqlite::audit::event;
use keystile_store::sqlite::journal;
use keystile_store::sqlite::keys::key::{self, KeyQuery, KeyRow, NewKeyRow};
use uuid::Uuid;

use crate::Engine;
use crate::advice;
use crate::command::{BudgetView, Budgets, Failure, KeyDetails, KeyFilter, KeyView, NewKey};
use crate::execute::{LISTED_MAX, check_label, check_name, checked_note, failure, missing};
use crate::keys::version::Expected;
use crate::keys::view;
use crate::legacy::Answer;

/// Keys issued in one command.
const CREATED_MAX: u32 = 1_000_000;
/// Keys issued in one transaction.
const CREATED_AT_ONCE: u32 = 5_000;
/// Events shown with a key.
const EVENTS_SHOWN: u32 = 50;

impl Engine {
    pub(crate) fn check_plan(&self, plan: &str) -> Result<(), Failure> {
        let policy = self.policy();
        // Without a configuration nobody knows the plans: the data directory was named directly.
        if policy.plans().next().is_none() {
            return Ok(());
        }
        if policy.plan(plan).is_some_and(|plan| !plan.spec().is_keyless) {
            return Ok(());
        }
        let mut names: Vec<_> = policy
            .plans()
            .filter(|plan| !plan.spec().is_keyless)
            .map(|plan| plan.name().to_owned())
            .collect();
        names.sort();
        let help = format!("the plans for keys are: {}", names.join(", "));
        Err(failure(format!("there is no plan {plan} for keys"), &help))
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

    pub(crate) async fn create_keys(
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
                    Error::Missing(_) => {
                        failure(format!("the application {application} is new"), advice::SAY_PLAN)
                    }
                    other => other.into(),
                })?,
        };
        let mut issued = Vec::new();
        while issued.len() < count as usize {
            let left = count - u32::try_from(issued.len()).unwrap_or(count);
            let keys: Vec<_> =
                (0..left.min(CREATED_AT_ONCE)).map(|_| self.new_key(&plan)).collect();
            let rows: Vec<_> = keys.iter().map(|(_, row)| row.clone()).collect();
            let (name, plan_name, by) = (application.clone(), plan.clone(), actor.clone());
            self.store
                .change(move |work| {
                    let (entry, _) = work.application_or_new(&name, Some(&plan_name), &by)?;
                    rows.iter().try_for_each(|row| work.create_key(&entry, row, &by).map(|_| ()))
                })
                .await?;
            issued.extend(keys.into_iter().map(|(text, row)| NewKey {
                id: row.id.to_string(),
                key: text.expose().to_owned(),
                application: application.clone(),
                plan: plan.clone(),
                example: None,
            }));
        }
        if let Some(first) = issued.first_mut() {
            first.example = self.example_call(&plan, &first.key, Wanted::Read);
        }
        Ok(Answer::NewKeys(issued))
    }

    /// When a key last called this process.
    fn last_call(&self, row: &KeyRow) -> Option<Timestamp> {
        self.store.keys().find(&row.hash).and_then(|entry| entry.last_call())
    }

    /// A key by its id, its prefix, or its text, which is looked up by hash and kept nowhere.
    pub(crate) fn find_key(&self, text: &str) -> Result<KeyRow, Failure> {
        let found = if well_formed(text.as_bytes()) {
            let hash = self.store.pepper().hash(text.as_bytes());
            self.store.read(|read| key::find_key_by_hash(read, &hash))
        } else {
            self.store.read(|read| key::find_key(read, text))
        };
        found.map_err(|error| match error {
            Error::Missing(_) => missing(
                if well_formed(text.as_bytes()) {
                    "there is no such key".to_owned()
                } else {
                    format!("there is no key {text}")
                },
                advice::LIST_KEYS,
            ),
            other => other.into(),
        })
    }

    pub(crate) fn list_keys(&self, filter: &KeyFilter) -> Result<Vec<KeyView>, Failure> {
        let after = filter.after.as_deref().map(|after| self.find_key(after)).transpose()?;
        let limit = if filter.limit == 0 { LISTED_MAX } else { filter.limit.min(LISTED_MAX) };
        let now = self.store.now();
        Ok(self.store.read(|read| {
            let application = filter
                .application
                .as_deref()
                .map(|name| key::application_row_of(read, name))
                .transpose()?;
            let mut query = KeyQuery {
                application_row: application,
                plan: filter.plan.clone(),
                after_row: after.map_or(0, |after| after.row),
                // A key's state depends on the time, so it is filtered here, a page at a time: one
                // locked key may stand behind many others.
                limit: if filter.state.is_some() { LISTED_MAX } else { limit },
                only_locked: filter.state.as_deref() == Some("locked"),
            };
            let mut found = Vec::new();
            loop {
                let page = key::list_keys(read, &query)?;
                let Some(last) = page.last().map(|row| row.row) else {
                    break;
                };
                let is_last_page = page.len() < query.limit as usize;
                for row in page {
                    let subject = row.row;
                    let last_call = self.last_call(&row);
                    let mut key = view::key(row, None, last_call, now);
                    if filter.state.as_ref().is_none_or(|state| *state == key.state) {
                        key.last_write = journal::last_of_subject(read, subject)?;
                        found.push(key);
                    }
                    if found.len() >= limit as usize {
                        break;
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

    /// How many keys are locked; none where the store cannot be read, which shows everywhere else.
    pub fn locked_keys(&self) -> u64 {
        self.store.read(key::count_locked).unwrap_or(0)
    }

    /// How the write budgets of a key stand; none where the policy does not have its plan.
    pub(crate) async fn budgets_of(&self, row: &KeyRow) -> Result<Vec<BudgetView>, Failure> {
        let (id, policy) = (row.id.clone(), self.policy());
        let Some(plan) = policy.plan(&row.plan).cloned() else {
            return Ok(Vec::new());
        };
        let counted = self.store.change(move |work| work.budgets(&id, &policy, &plan)).await?;
        let view = |budget: keystile_store::sqlite::keys::change::CountedBudget| BudgetView {
            name: budget.name,
            quota: budget.quota.to_string(),
            used: budget.used,
            remaining: u64::from(budget.quota.amount).saturating_sub(budget.used),
            frees_at: budget.frees_at,
        };
        Ok(counted.into_iter().map(view).collect())
    }

    pub(crate) async fn show_key(&self, text: &str) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let budgets = self.budgets_of(&row).await?;
        let now = self.store.now();
        let details = self.store.read(|read| {
            let events = event::list_of_key(read, row.row, EVENTS_SHOWN)?;
            let last_write = journal::last_of_subject(read, row.row)?;
            let last_call = self.last_call(&row);
            Ok(KeyDetails {
                key: view::key(row, last_write, last_call, now),
                budgets,
                events: events.into_iter().map(view::event).collect(),
            })
        })?;
        Ok(Answer::Key(Box::new(details)))
    }

    pub(crate) async fn lock_key(
        &self,
        text: &str,
        level: LockLevel,
        reason: String,
        for_millis: Option<i64>,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        check_label(Label::Reason, "a reason", &reason)?;
        let reason = reason.trim().to_owned();
        let span =
            for_millis.map(|millis| Span::from_millis(millis).ok_or_else(too_long)).transpose()?;
        let row = self.find_key(text)?;
        let id = row.id.clone();
        let (lock, change) = self
            .store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                expected.check_key(work, &row)?;
                let until = span.map(|span| work.now().plus(span));
                let since = work.now();
                work.lock_key(&entry, Lock { level, reason, actor, since, until, evidence: None })
            })
            .await?;
        let stopped = match lock.level {
            LockLevel::Writes => "its writes stop and its reads go on",
            LockLevel::All => "all its calls stop",
        };
        let end = match lock.until {
            None => "until it is unlocked".to_owned(),
            Some(until) => format!("until {}", until.readable()),
        };
        let (prefix, application) = (&row.prefix, &row.application);
        Ok(Answer::Done(match change {
            LockChange::New => format!("Locked {prefix} of {application}: {stopped}, {end}."),
            LockChange::Extended => {
                format!("{prefix} of {application} was locked already; now {stopped}, {end}.")
            }
            LockChange::Unchanged => format!(
                "{prefix} of {application} was locked already and stays so: {stopped}, {end}. To lock it for less, unlock it first."
            ),
        }))
    }

    pub(crate) async fn unlock_key(
        &self,
        text: &str,
        budgets: Budgets,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let id = row.id.clone();
        let was_locked = self
            .store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                expected.check_key(work, &row)?;
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

    pub(crate) async fn roll_key(
        &self,
        text: &str,
        grace_millis: i64,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let grace = Span::from_millis(grace_millis).ok_or_else(too_long)?;
        let row = self.find_key(text)?;
        let (new_text, new_row) = self.new_key(&row.plan);
        let (id, issued) = (row.id.clone(), new_row.id.to_string());
        self.store
            .change(move |work| {
                let old = work.find_key(&id)?;
                expected.check_key(work, &old.0)?;
                let ends = work.now().plus(grace);
                work.roll_key(&old, &new_row, ends, &actor).map(|_| ())
            })
            .await?;
        let key = NewKey {
            id: issued,
            key: new_text.expose().to_owned(),
            example: self.example_call(&row.plan, new_text.expose(), Wanted::Read),
            application: row.application,
            plan: row.plan,
        };
        Ok(Answer::NewKeys(vec![key]))
    }

    pub(crate) async fn revoke_key(
        &self,
        text: &str,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let row = self.find_key(text)?;
        let id = row.id.clone();
        self.store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                expected.check_key(work, &row)?;
                match row.revoked {
                    Some(_) => Ok(()),
                    None => work.revoke_key(&entry, &actor, "revoked for good"),
                }
            })
            .await?;
        Ok(Answer::Done(format!("Revoked {} of {} for good.", row.prefix, row.application)))
    }

    pub(crate) async fn change_key_plan(
        &self,
        text: &str,
        plan: String,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        self.check_plan(&plan)?;
        let row = self.find_key(text)?;
        let (id, to) = (row.id.clone(), plan.clone());
        self.store
            .change(move |work| {
                let (row, entry) = work.find_key(&id)?;
                expected.check_key(work, &row)?;
                if row.revoked.is_some() {
                    return Err(Error::Conflict("a revoked key needs no plan".to_owned()));
                }
                work.set_key_plan(&entry, &to, &actor)
            })
            .await?;
        let (prefix, application) = (&row.prefix, &row.application);
        Ok(Answer::Done(if row.plan == plan {
            format!("{prefix} of {application} is on the plan {plan} already.")
        } else {
            format!(
                "{prefix} of {application} is on the plan {plan}; what it wrote before counts in its budgets."
            )
        }))
    }

    pub(crate) async fn set_key_note(
        &self,
        text: &str,
        note: &str,
        actor: Actor,
        expected: Expected,
    ) -> Result<Answer, Failure> {
        let note = checked_note(note)?;
        let row = self.find_key(text)?;
        let said = if note.is_some() { "Noted for" } else { "Removed the note of" };
        if note != row.note || expected != Expected::Any {
            let id = row.id;
            self.store
                .change(move |work| {
                    let (row, entry) = work.find_key(&id)?;
                    expected.check_key(work, &row)?;
                    if note == row.note {
                        return Ok(());
                    }
                    work.set_key_note(&entry, note.as_deref(), &actor)
                })
                .await?;
        }
        Ok(Answer::Done(format!("{said} {} of {}.", row.prefix, row.application)))
    }
}

pub(crate) fn too_long() -> Failure {
    failure("that length of time is out of bounds", "give at least 1 ms and at most 400 days")
}
