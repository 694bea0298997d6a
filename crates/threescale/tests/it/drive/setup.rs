//! A portal, an engine on a store of its own, and the account between them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::keys::text::KeyPrefix;
use keystile_core::owners::principal::Principal;
use keystile_core::policy::Policy;
use keystile_core::time::Span;
use keystile_core::version::Expected;
use keystile_engine::audit::ListEvents;
use keystile_engine::command::{Command, Done, Failure};
use keystile_engine::keys::application::{
    ApplicationDetails, ListApplications, ShowApplicationWithKeys,
};
use keystile_engine::keys::application_edit::{ChangeApplicationPlan, SetApplicationState};
use keystile_engine::keys::difference::{Difference, Side};
use keystile_engine::keys::key::{KeyView, ListKeys};
use keystile_engine::keys::lock::{LockKey, UnlockKey};
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::look_up::look_ups::LookUpLimits;
use keystile_engine::keys::source::{Deletions, KeySourceView, SyncMode, SyncReport, SyncWanted};
use keystile_engine::{Engine, EngineSettings, KeySource as _};
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use keystile_threescale::drive::settings::{DriveSettings, OnLock};
use keystile_threescale::drive::{DrivenAccount, worker};
use keystile_threescale::portal::records::ServiceId;
use keystile_threescale_standin::tenant::Tenant;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::setup::{Ids, TestPortal, tenant};

/// How long the portal may take.
const TIMEOUT: Duration = Duration::from_secs(2);
/// An answer that comes too late.
pub(super) const TOO_LATE: Duration = Duration::from_secs(3);
/// Nothing that is waited for takes longer.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) struct Driven {
    pub(super) test: TestPortal,
    pub(super) account: Arc<DrivenAccount>,
    settings: DriveSettings,
    engine: Option<Arc<Engine>>,
    data: TempDir,
    working: Option<JoinHandle<()>>,
    running: watch::Sender<()>,
}

pub(super) fn shell() -> Principal {
    Principal::CommandLine { account: "ada".to_owned() }
}

fn settings(test: &TestPortal) -> DriveSettings {
    let mut portal = test.settings();
    portal.total_timeout = TIMEOUT;
    DriveSettings {
        name: "main".to_owned(),
        portal,
        service: ServiceId::new(test.ids.service),
        plans: BTreeMap::from([("Basic".to_owned(), "open".to_owned())]),
        default_plan: Some("other".to_owned()),
        on_lock: OnLock::Suspend,
        refresh: Duration::from_hours(1),
        keep_known: Span::from_secs(86_400),
        look_ups: LookUpLimits { per_second: 10, unknown_for: Span::from_secs(60) },
        usage: None,
        webhook_secret: None,
    }
}

impl Driven {
    pub(super) async fn start() -> Self {
        let (tenant, ids) = tenant();
        Self::with(tenant, ids, |settings| settings).await
    }

    pub(super) async fn with(
        tenant: Tenant,
        ids: Ids,
        change: impl FnOnce(DriveSettings) -> DriveSettings,
    ) -> Self {
        let test = TestPortal::with(tenant, ids).await;
        let settings = change(settings(&test));
        let account = Arc::new(DrivenAccount::new(settings.clone()).unwrap());
        let (data, engine, working) = (tempfile::tempdir().unwrap(), None, None);
        let running = watch::Sender::new(());
        let mut driven = Self { test, account, settings, engine, data, working, running };
        driven.open();
        driven
    }

    fn open(&mut self) {
        let directory = DataDirectory::hold(self.data.path()).unwrap();
        let (store, _) = Store::open(directory).unwrap();
        let policy = Policy::new(Vec::new(), Vec::new(), TimeZone::UTC);
        let settings = EngineSettings {
            key_prefix: KeyPrefix::default(),
            retention: None,
            key_failures: "300 per minute".parse().unwrap(),
            console_url: "https://console.example.org".to_owned(),
            gate: Vec::new(),
            watching: Arc::default(),
        };
        self.engine = Some(Arc::new(Engine::new(store, policy, settings)));
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    /// The same store with what is in memory forgotten, as after a crash.
    pub(super) async fn restart(&mut self) {
        if let Some(working) = self.working.take() {
            working.abort();
            working.await.unwrap_err();
        }
        self.engine.take().unwrap().store().close();
        self.account = Arc::new(DrivenAccount::new(self.settings.clone()).unwrap());
        // A request that is on its way ends first.
        let begun = Instant::now();
        while DataDirectory::hold(self.data.path()).is_err() {
            assert!(begun.elapsed() < PATIENCE, "something holds the store");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.open();
    }

    /// Lets the account work by itself.
    pub(super) fn work(&mut self) {
        self.running = watch::Sender::new(());
        let running = self.running.subscribe();
        let (account, engine) = (self.account.clone(), self.engine().clone());
        let reporting = worker::report(account.clone(), engine.clone());
        let work = worker::run(account, engine, running);
        self.working = Some(tokio::spawn(async {
            tokio::join!(work, reporting);
        }));
    }

    /// Ends the work in order, and goes on with other settings, as after a reload.
    pub(super) async fn change(&mut self, change: impl FnOnce(&mut DriveSettings)) {
        change(&mut self.settings);
        self.account = Arc::new(self.account.with(self.settings.clone()).unwrap());
        let before = self.working.take();
        self.work();
        if let Some(before) = before {
            before.await.unwrap();
        }
    }

    pub(super) async fn execute<C: Command>(&self, command: C) -> Result<C::Answer, Failure> {
        self.engine().execute(&shell(), command).await
    }

    pub(super) async fn try_sync(&self, wanted: SyncWanted) -> Result<SyncReport, Failure> {
        self.account.synchronize(self.engine(), wanted).await
    }

    pub(super) async fn sync(&self) -> SyncReport {
        self.try_sync(SyncWanted::default()).await.unwrap()
    }

    /// Looks a key up, as the account's own worker does when somebody calls with it.
    pub(super) async fn look_up(&self, key: &str) -> Result<FoundThere, Failure> {
        self.account.look_up(self.engine(), &key.parse().unwrap()).await
    }

    pub(super) async fn dry_run(&self) -> SyncReport {
        let wanted = SyncWanted { mode: SyncMode::DryRun, deletions: Deletions::Guarded };
        self.try_sync(wanted).await.unwrap()
    }

    pub(super) async fn show(&self) -> KeySourceView {
        self.account.show(self.engine()).await.unwrap()
    }

    pub(super) async fn differences(&self) -> Vec<Difference> {
        self.show().await.differences
    }

    /// The one difference that there is.
    pub(super) async fn difference(&self) -> Difference {
        let mut all = self.differences().await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    pub(super) async fn take(&self, difference: &Difference, side: Side) -> Result<Done, Failure> {
        self.account.take_side(self.engine(), &shell(), (&difference.id, side)).await
    }

    /// As an owner does.
    pub(super) async fn set_state(&self, name: &str, state: ApplicationState) {
        let (application, expected) = (name.to_owned(), Expected::default());
        self.execute(SetApplicationState { application, state, expected }).await.unwrap();
    }

    /// As an owner does.
    pub(super) async fn set_plan(&self, name: &str, plan: &str) {
        let (application, plan) = (name.to_owned(), plan.to_owned());
        let expected = Expected::default();
        self.execute(ChangeApplicationPlan { application, plan, expected }).await.unwrap();
    }

    pub(super) async fn application(&self, name: &str) -> ApplicationDetails {
        let show = ShowApplicationWithKeys { application: name.to_owned() };
        self.execute(show).await.unwrap()
    }

    pub(super) async fn names(&self) -> Vec<String> {
        let applications = self.execute(ListApplications::default()).await.unwrap();
        applications.into_iter().map(|application| application.name).collect()
    }

    pub(super) async fn keys(&self) -> Vec<KeyView> {
        self.execute(ListKeys::default()).await.unwrap()
    }

    pub(super) async fn lock(&self, key: &str) {
        let lock = LockKey {
            key: key.to_owned(),
            level: LockLevel::Writes,
            reason: "a test".to_owned(),
            for_millis: None,
            expected: Expected::default(),
        };
        self.execute(lock).await.unwrap();
    }

    pub(super) async fn unlock(&self, key: &str) {
        let budgets = Budgets::Keep;
        let unlock = UnlockKey { key: key.to_owned(), budgets, expected: Expected::default() };
        self.execute(unlock).await.unwrap();
    }

    /// The details of all events of a kind, earliest first.
    pub(super) async fn events(&self, kind: &str) -> Vec<String> {
        let events = self.execute(ListEvents::default()).await.unwrap();
        let events = events.into_iter().rev().filter(|event| event.kind == kind);
        events.map(|event| format!("{}: {}", event.actor, event.detail)).collect()
    }

    /// Waits until the lock that is followed reads so; nothing for none.
    pub(super) async fn until_followed(&self, state: Option<&str>) {
        let begun = Instant::now();
        loop {
            let shown = self.show().await;
            let found = shown.locks.first().map(|lock| lock.state.as_str());
            if found == state || found.zip(state).is_some_and(|(a, b)| a.starts_with(b)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{state:?} is waited for, and it is {found:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for Driven {
    fn drop(&mut self) {
        if let Some(working) = &self.working {
            working.abort();
        }
        if let Some(engine) = &self.engine {
            engine.store().close();
        }
    }
}
