//! Keys and what owners do with them.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;
use keystile_core::keys::lock::Budgets;
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;

use crate::error::Result;
use crate::keys::{
    CountedBudget, ImportedKey, KeyEdit, KeyQuery, KeyRef, KeyRow, ListedKey, LockedKey, NewKeys,
    NewLock, Successor, UnlockedKey,
};
use crate::sqlite::journal::activity;
use crate::sqlite::keys::{key, key_edit, key_list};
use crate::store::Store;

impl Store {
    /// A key.
    ///
    /// # Errors
    /// `Missing` when there is none, `Conflict` when several have the prefix; when the store cannot be read.
    pub async fn key(&self, key: KeyRef) -> Result<KeyRow> {
        self.query(move |connection| key::find(connection, &key)).await
    }

    /// A key with its last write and its latest events.
    ///
    /// # Errors
    /// As [`Store::key`].
    pub async fn key_with_events(
        &self,
        key: KeyRef,
        events: u32,
    ) -> Result<(ListedKey, Vec<AuditEvent>)> {
        self.query(move |connection| key_list::with_events(connection, &key, events)).await
    }

    /// Keys in the order in which they were issued.
    ///
    /// # Errors
    /// `Missing` when there is no such application or no key to begin after; when the store cannot be read.
    pub async fn list_keys(&self, query: KeyQuery) -> Result<Vec<ListedKey>> {
        let now = self.now();
        self.query(move |connection| key_list::list(connection, &query, now)).await
    }

    /// The last write of a key, by row number, that was forwarded or is about to be.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_write(&self, key_row: i64) -> Result<Option<Timestamp>> {
        self.query(move |connection| activity::last_of_subject(connection, key_row)).await
    }

    /// How many keys there are at a time: active, locked and revoked ones.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn count_keys(&self) -> Result<[u64; 3]> {
        let now = self.now();
        self.query(move |connection| key::count_states(connection, now)).await
    }

    /// The plans of all keys that are not revoked.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn plans_in_use(&self) -> Result<Vec<String>> {
        self.query(key::plans_in_use).await
    }

    /// How all budgets of a key stand under a plan.
    ///
    /// # Errors
    /// `Missing` when there is no such key; when the store cannot commit.
    pub async fn key_budgets(
        &self,
        key: KeyRef,
        policy: Arc<Policy>,
        plan: Arc<Plan>,
    ) -> Result<Vec<CountedBudget>> {
        self.write(move |tx| key_edit::budgets(tx, &key, &policy, &plan)).await
    }

    /// Issues keys.
    ///
    /// # Errors
    /// When the store cannot commit; none of them was issued then.
    pub async fn create_keys(&self, new: NewKeys, actor: Actor) -> Result<()> {
        self.write(move |tx| key_edit::create(tx, &new, &actor)).await
    }

    /// Takes over a key that another system issued, and gives it as it is now.
    ///
    /// # Errors
    /// `Exists` when a key has its text, also a revoked one; when the store cannot commit.
    pub async fn import_key(&self, new: ImportedKey, actor: Actor) -> Result<KeyRow> {
        self.write(move |tx| key_edit::import(tx, &new, &actor)).await
    }

    /// Locks a key. One that is locked keeps the stricter level and the later end.
    ///
    /// # Errors
    /// As [`Store::key`]; `Stale` when the key is not as expected, `Conflict` when it is revoked; when the
    /// store cannot commit.
    pub async fn lock_key(&self, edit: KeyEdit, lock: NewLock) -> Result<LockedKey> {
        self.write(move |tx| key_edit::lock(tx, &edit, lock)).await
    }

    /// Unlocks a key.
    ///
    /// # Errors
    /// As [`Store::lock_key`].
    pub async fn unlock_key(&self, edit: KeyEdit, budgets: Budgets) -> Result<UnlockedKey> {
        self.write(move |tx| key_edit::unlock(tx, &edit, budgets)).await
    }

    /// Issues a successor for a key, which itself goes on for a while.
    ///
    /// # Errors
    /// As [`Store::lock_key`].
    pub async fn roll_key(&self, edit: KeyEdit, successor: Successor) -> Result<KeyRow> {
        self.write(move |tx| key_edit::roll(tx, &edit, successor)).await
    }

    /// Revokes a key for good. Revoking one again changes nothing.
    ///
    /// # Errors
    /// As [`Store::key`]; `Stale` when the key is not as expected; when the store cannot commit.
    pub async fn revoke_key(&self, edit: KeyEdit) -> Result<KeyRow> {
        self.write(move |tx| key_edit::revoke(tx, &edit)).await
    }

    /// Puts a key on another plan. Says which one it was on before.
    ///
    /// # Errors
    /// As [`Store::lock_key`].
    pub async fn set_key_plan(&self, edit: KeyEdit, plan: String) -> Result<(KeyRow, String)> {
        self.write(move |tx| key_edit::set_plan(tx, &edit, &plan)).await
    }

    /// Notes something about a key, or nothing any more.
    ///
    /// # Errors
    /// As [`Store::revoke_key`].
    pub async fn set_key_note(&self, edit: KeyEdit, note: Option<String>) -> Result<KeyRow> {
        self.write(move |tx| key_edit::set_note(tx, &edit, note.as_deref())).await
    }
}
