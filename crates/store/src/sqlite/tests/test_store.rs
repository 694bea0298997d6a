//! A store on a directory of its own, with a policy and keys, that a test can stop and start.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_core::audit::AuditEvent;
use keystile_core::journal::{Outcome, WriteRecord};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::{KeyId, KeyState};
use keystile_core::keys::lock::Budgets;
use keystile_core::policy::{PlanSpec, Policy};
use keystile_core::time::Span;
use keystile_core::version::Expected;
use uuid::Uuid;

use crate::applications::{ApplicationEdit, ApplicationRow, PlanChange, UnlockedApplication};
use crate::error::Result;
use crate::journal::{Direction, RecordQuery};
use crate::key_cache::KeyEntry;
use crate::keys::{KeyEdit, KeyRef, KeyRow, NewKeyRow, Successor};
use crate::reservation::{Requester, ReserveAnswer, Reserved};
use crate::sqlite::audit::event::{self};
use crate::sqlite::files::directory::DataDirectory;
use crate::sqlite::journal::listing;
use crate::sqlite::keys::key;
use crate::sqlite::tests::make::{owner, policy, requester, settlement, write};
use crate::sqlite::writer::write_tx::WriteTx;
use crate::{Opened, Store};

/// Waits for an answer of the store.
pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(answer)
}

pub(crate) struct TestStore {
    _folder: Option<tempfile::TempDir>,
    path: PathBuf,
    store: Option<Arc<Store>>,
    plans: Vec<PlanSpec>,
    pub(crate) policy: Arc<Policy>,
}

impl TestStore {
    pub(crate) fn new(plans: &[PlanSpec]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        Self { _folder: Some(folder), ..Self::on(&path, plans) }
    }

    /// A store on a directory that somebody else looks after.
    pub(crate) fn on(path: &Path, plans: &[PlanSpec]) -> Self {
        let (store, _) = open(path).unwrap();
        let policy = policy(plans);
        Self {
            _folder: None,
            path: path.to_owned(),
            store: Some(store),
            plans: plans.to_vec(),
            policy,
        }
    }

    /// A store on another directory, with the policy of this one.
    pub(crate) fn at(folder: tempfile::TempDir, like: &Self) -> Self {
        let path = folder.path().to_owned();
        Self { _folder: Some(folder), ..Self::on(&path, &like.plans) }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn store(&self) -> &Arc<Store> {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn stop(&mut self) {
        let store = self.store.take().unwrap();
        assert!(Arc::into_inner(store).is_some(), "somebody still holds the store");
    }

    pub(crate) fn start(&mut self) -> Opened {
        let (store, opened) = open(&self.path).unwrap();
        self.store = Some(store);
        opened
    }

    pub(crate) fn reopen(&mut self) -> Opened {
        self.stop();
        self.start()
    }

    /// Stops, lets time pass on the store's clock, and starts again.
    pub(crate) fn reopen_later(&mut self, millis: i64) {
        self.stop();
        let database = rusqlite::Connection::open(self.path.join("keystile.db")).unwrap();
        let anchor: String = database
            .query_row("SELECT value FROM meta WHERE name = 'clock'", [], |row| row.get(0))
            .unwrap();
        let (boot, offset) = anchor.split_once(' ').unwrap();
        let later = format!("{boot} {}", offset.parse::<i64>().unwrap() + millis);
        database.execute("UPDATE meta SET value = ?1 WHERE name = 'clock'", [later]).unwrap();
        drop(database);
        self.start();
    }

    /// The same policy, read again: what the store holds in memory is counted anew for it.
    pub(crate) fn reload_policy(&mut self) {
        self.policy = policy(&self.plans);
    }

    pub(crate) fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut WriteTx<'_>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        wait(self.store().write(change))
    }

    pub(crate) fn issue(&self, plan: &str) -> KeyHash {
        self.issue_text(plan, &crate::random::<32>())
    }

    /// A key whose text the test knows.
    pub(crate) fn issue_text(&self, plan: &str, text: &[u8]) -> KeyHash {
        self.issue_to(plan, plan, text)
    }

    /// A key of an application, by name.
    pub(crate) fn issue_for(&self, application: &str, plan: &str) -> KeyHash {
        self.issue_to(application, plan, &crate::random::<32>())
    }

    pub(crate) fn issue_to(&self, application: &str, plan: &str, text: &[u8]) -> KeyHash {
        let (row, application) = (self.new_key(plan, text), application.to_owned());
        let hash = row.hash;
        self.change(move |work| {
            let (application, _) =
                work.application_or_new(&application, Some(&row.plan), &owner())?;
            work.create_key(&application, &row, &owner()).map(|_| ())
        })
        .unwrap();
        hash
    }

    fn new_key(&self, plan: &str, text: &[u8]) -> NewKeyRow {
        let hash = self.store().pepper().hash(text);
        let id = KeyId::new(Uuid::now_v7());
        NewKeyRow { id, hash, prefix: format!("ks_{id}"), plan: plan.to_owned(), origin: None }
    }

    /// Rolls a key; the old one ends at once.
    pub(crate) fn roll(&self, key: KeyHash) -> KeyHash {
        let new = self.new_key("", &crate::random::<32>());
        let hash = new.hash;
        let successor = Successor { key: new, grace: Span::from_millis(1).unwrap() };
        wait(self.store().roll_key(Self::edit(key), successor)).unwrap();
        hash
    }

    pub(crate) fn edit(key: KeyHash) -> KeyEdit {
        KeyEdit { key: KeyRef::Hashed(key), expected: Expected::Any, actor: owner() }
    }

    pub(crate) fn edit_application(name: &str) -> ApplicationEdit {
        let application = name.to_owned();
        ApplicationEdit { application, expected: Expected::Any, actor: owner() }
    }

    pub(crate) fn put_on(&self, key: KeyHash, plan: &str) {
        wait(self.store().set_key_plan(Self::edit(key), plan.to_owned())).unwrap();
    }

    /// Puts an application on another plan, with all of its keys.
    pub(crate) fn put_application_on(&self, name: &str, plan: &str) {
        let change = PlanChange { plan: plan.to_owned(), after: 0, limit: 1_000 };
        wait(self.store().set_application_plan(Self::edit_application(name), change)).unwrap();
    }

    pub(crate) fn unlock_application(&self, name: &str, budgets: Budgets) -> UnlockedApplication {
        wait(self.store().unlock_application(Self::edit_application(name), budgets)).unwrap()
    }

    pub(crate) fn application(&self, name: &str) -> ApplicationRow {
        wait(self.store().application(name.to_owned())).unwrap()
    }

    pub(crate) fn entry(&self, key: KeyHash) -> Arc<KeyEntry> {
        self.store().keys().find(&key).unwrap()
    }

    pub(crate) fn row(&self, key: KeyHash) -> KeyRow {
        self.store().read(|read| key::find_key_by_hash(read, &key)).unwrap()
    }

    pub(crate) fn state(&self, key: KeyHash) -> KeyState {
        self.entry(key).state(self.store().now())
    }

    pub(crate) fn is_locked(&self, key: KeyHash) -> bool {
        matches!(self.state(key), KeyState::Locked(_))
    }

    pub(crate) fn ask(
        &self,
        key: KeyHash,
        operation: (&str, &str, &str),
        cost: u32,
    ) -> Result<ReserveAnswer> {
        let request = write(&self.policy, requester(&self.entry(key)), operation, cost);
        wait(self.store().reserve(request))
    }

    pub(crate) fn reserve(&self, key: KeyHash) -> ReserveAnswer {
        self.ask(key, ("notes", "POST", "/notes"), 1).unwrap()
    }

    #[expect(
        clippy::vec_box,
        reason = "the store hands reservations out and takes them back in boxes"
    )]
    pub(crate) fn reserve_many(&self, key: KeyHash, many: usize) -> Vec<Box<Reserved>> {
        (0..many).map(|_| self.reserve(key).unwrap()).collect()
    }

    pub(crate) fn reserve_from(&self, address: &str) -> ReserveAnswer {
        let address: IpAddr = address.parse().unwrap();
        let request =
            write(&self.policy, Requester::Address(address), ("notes", "POST", "/notes"), 1);
        wait(self.store().reserve(request)).unwrap()
    }

    pub(crate) fn settle(&self, reserved: Box<Reserved>, outcome: Outcome) {
        self.store().settle(reserved, settlement(outcome));
    }

    pub(crate) fn unlock(&self, key: KeyHash) {
        let entry = self.entry(key);
        self.change(move |work| work.unlock_key(&entry, &owner(), "seen to")).unwrap();
    }

    pub(crate) fn reset(&self, key: KeyHash) {
        let entry = self.entry(key);
        self.change(move |work| work.reset_budgets(&entry)).unwrap();
    }

    /// What is used of each budget of a key.
    pub(crate) fn used(&self, key: KeyHash) -> Vec<u64> {
        let (entry, policy) = (self.entry(key), self.policy.clone());
        let plan = policy.plan(&entry.plan()).unwrap().clone();
        let key = KeyRef::Named(entry.id.to_string());
        let counted = wait(self.store().key_budgets(key, policy, plan));
        counted.unwrap().into_iter().map(|budget| budget.used).collect()
    }

    pub(crate) fn list(&self, query: &RecordQuery) -> Vec<WriteRecord> {
        self.store().read(|read| listing::list(read, query)).unwrap()
    }

    /// All records, earliest first.
    pub(crate) fn journal(&self) -> Vec<WriteRecord> {
        wait(self.store().flush()).unwrap();
        self.list(&RecordQuery {
            direction: Direction::EarliestFirst,
            limit: u32::MAX,
            ..RecordQuery::default()
        })
    }

    pub(crate) fn events(&self, key: KeyHash) -> Vec<AuditEvent> {
        let row = self.row(key).row;
        self.store().read(|read| event::list_of_key(read, row, 1000)).unwrap()
    }

    pub(crate) fn events_named(&self, key: KeyHash, name: &str) -> usize {
        self.events(key).iter().filter(|event| event.kind == name).count()
    }
}

pub(crate) fn open(path: &Path) -> Result<(Arc<Store>, Opened)> {
    Store::open(DataDirectory::hold(path)?)
}

/// Numbers that look random and are the same in every run.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }
}
