//! Keys: how owners see them, listing them, and one with its budgets and history.

use std::sync::Arc;

use keystile_core::audit::AuditEvent;
use keystile_core::budget::Per;
use keystile_core::keys::key::KeyForm;
use keystile_core::keys::lock::{Lock, LockTarget};
use keystile_core::keys::text::well_formed;
use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_core::version::version_of;
use keystile_store::keys::{CountedBudget, KeyQuery, KeyRef, KeyRow, ListedKey};
use serde::{Deserialize, Serialize};

use crate::command::failure::key_failure;
use crate::command::input::listed_limit;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;

/// Events shown with a key.
const EVENTS_SHOWN: u32 = 50;

/// A key as it is listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyView {
    pub id: String,
    /// Its recognizable beginning, or what stands for it where it has none to show.
    pub prefix: String,
    /// Where it comes from, for a key that another system issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// The application's name.
    pub application: String,
    /// Its plan.
    pub plan: String,
    /// `active`, `locked` or `revoked`.
    pub state: String,
    /// The lock that is on it, or on its application and so on all of its keys.
    pub lock: Option<Lock>,
    /// When it was issued.
    pub created: Timestamp,
    /// When a rolled key stops working.
    pub expires: Option<Timestamp>,
    /// Its last write on record.
    pub last_write: Option<Timestamp>,
    /// Its last call of any kind, to the second; of what it called before the server started, only a
    /// write is known.
    pub last_call: Option<Timestamp>,
    /// What an owner noted about it.
    pub note: Option<String>,
}

/// A key with what happened to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyDetails {
    /// The key.
    #[serde(flatten)]
    pub key: KeyView,
    /// Its write budgets.
    pub budgets: Vec<BudgetView>,
    /// What happened to it, latest first.
    pub events: Vec<AuditEvent>,
}

/// A write budget of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct BudgetView {
    /// Its name.
    pub name: String,
    /// As in `100 per day`.
    pub quota: String,
    /// Whose writes count in it together.
    #[serde(default)]
    pub per: Per,
    /// What counts now.
    pub used: u64,
    /// What is left.
    pub remaining: u64,
    /// When the first of what counts leaves the window, if anything does.
    pub frees_at: Option<Timestamp>,
}

impl From<CountedBudget> for BudgetView {
    fn from(budget: CountedBudget) -> Self {
        Self {
            name: budget.name,
            quota: budget.quota.to_string(),
            per: budget.per,
            used: budget.used,
            remaining: u64::from(budget.quota.amount).saturating_sub(budget.used),
            frees_at: budget.frees_at,
        }
    }
}

/// Which keys to list.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFilter {
    /// Only those of this application.
    pub application: Option<String>,
    /// Only those on this plan.
    pub plan: Option<String>,
    /// Only those that come from this system.
    #[serde(default)]
    pub origin: Option<String>,
    /// Only those in this state: `active`, `locked`, `revoked`.
    pub state: Option<String>,
    /// Only those that are locked by a lock on this: on themselves, or on their application.
    #[serde(default)]
    pub locked_on: Option<LockTarget>,
    /// Only those that were issued after the key with this id.
    pub after: Option<String>,
    /// At most so many; as many as a listing may have, where it is 0.
    pub limit: u32,
}

impl KeyView {
    /// A key at a time.
    pub(crate) fn of(
        row: KeyRow,
        last_write: Option<Timestamp>,
        last_call: Option<Timestamp>,
        now: Timestamp,
    ) -> Self {
        let (state, lock) = (row.state_at(now).to_owned(), row.lock_at(now).cloned());
        Self {
            id: row.id,
            prefix: row.prefix,
            origin: row.origin,
            application: row.application,
            plan: row.plan,
            state,
            lock,
            created: row.created,
            expires: row.expires,
            last_write,
            // Calls are known since the start only, and to the second; a write was one.
            last_call: last_call.max(last_write),
            note: row.note,
        }
    }

    /// The version of what can be edited of the key.
    pub fn version(&self) -> String {
        let Self { id, plan, state, lock, expires, note, .. } = self;
        version_of(&(id, plan, state, lock, expires, note))
    }
}

/// Lists keys in the order in which they were issued.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKeys {
    /// Which ones.
    #[serde(flatten)]
    pub filter: KeyFilter,
}

/// Shows a key with its budgets and its history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowKey {
    /// Its id, its prefix as listed, or the key itself.
    pub key: String,
}

impl Command for ListKeys {
    type Answer = Vec<KeyView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<KeyView>> {
        Box::pin(async move {
            let KeyFilter { application, plan, origin, state, locked_on, after, limit } =
                self.filter;
            let query = KeyQuery {
                application,
                plan,
                origin,
                state,
                locked_on,
                after: after.map(|after| engine.key_ref(&after)),
                limit: listed_limit(limit),
            };
            let listed = engine.store.list_keys(query).await.map_err(key_failure)?;
            Ok(listed.into_iter().map(|key| engine.key_view(key)).collect())
        })
    }
}

impl Command for ShowKey {
    type Answer = KeyDetails;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, KeyDetails> {
        Box::pin(async move {
            let key = engine.key_ref(&self.key);
            let shown = engine.store.key_with_events(key, EVENTS_SHOWN).await;
            let (listed, events) = shown.map_err(key_failure)?;
            Ok(KeyDetails {
                budgets: engine.budgets_of(&listed.key).await?,
                key: engine.key_view(listed),
                events,
            })
        })
    }
}

impl Engine {
    /// The key that somebody means by its id, its prefix, or its text, which is looked up by hash and kept
    /// nowhere.
    pub(crate) fn key_ref(&self, text: &str) -> KeyRef {
        let hash = self.store.pepper().hash(text.as_bytes());
        // No text is taken over by which another key is named.
        let is_imported =
            || self.store.keys().find(&hash).is_some_and(|key| key.form == KeyForm::Imported);
        if well_formed(text.as_bytes()) || is_imported() {
            KeyRef::Hashed(hash)
        } else {
            KeyRef::Named(text.to_owned())
        }
    }

    /// A key by its id, prefix or text.
    pub(crate) async fn key_row(&self, text: &str) -> Result<KeyRow, Failure> {
        self.store.key(self.key_ref(text)).await.map_err(key_failure)
    }

    /// A key as owners see it.
    pub(crate) fn key_view(&self, listed: ListedKey) -> KeyView {
        let ListedKey { key, last_write } = listed;
        let last_call = self.store.keys().find(&key.hash).and_then(|entry| entry.last_call());
        KeyView::of(key, last_write, last_call, self.store.now())
    }

    /// A key that was just edited, as owners see it. The edit is made: where the store cannot be read
    /// after it, only the last write is missing.
    pub(crate) async fn edited_key(&self, key: KeyRow) -> KeyView {
        let last_write = self.store.last_write(key.row).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the last write of a key could not be read");
            None
        });
        self.key_view(ListedKey { key, last_write })
    }

    /// How many keys carry a lock of their own.
    pub fn locked_keys(&self) -> u64 {
        self.store.keys().locked()
    }

    /// How many applications are locked, each with all of its keys.
    pub fn locked_applications(&self) -> u64 {
        self.store.keys().locked_applications()
    }

    /// How the write budgets of a key stand; none where the policy does not have its plan.
    pub(crate) async fn budgets_of(&self, row: &KeyRow) -> Result<Vec<BudgetView>, Failure> {
        let policy = self.policy();
        let Some(plan) = policy.plan(&row.plan).cloned() else {
            return Ok(Vec::new());
        };
        let key = KeyRef::Named(row.id.clone());
        let counted = self.store.key_budgets(key, policy, plan).await?;
        Ok(counted.into_iter().map(BudgetView::from).collect())
    }
}
