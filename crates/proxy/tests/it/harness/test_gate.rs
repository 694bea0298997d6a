//! A gate on a store of its own.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Once};

use jiff::tz::TimeZone;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::keys::text::KeyPrefix;
use keystile_core::owners::principal::Principal;
use keystile_core::policy::api::ApiSpec;
use keystile_core::policy::{PlanSpec, Policy};
use keystile_core::version::Expected;
use keystile_engine::command::Command;
use keystile_engine::journal::{ListRecords, Order, RecordFilter};
use keystile_engine::keys::application_edit::SetApplicationState;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::keys::edit::RevokeKey;
use keystile_engine::keys::key::{KeyDetails, ShowKey};
use keystile_engine::keys::lock::{LockKey, UnlockKey};
use keystile_engine::{Engine, EngineSettings};
use keystile_proxy::Gate;
use keystile_proxy::settings::GateSettings;
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use tempfile::TempDir;

use super::{Answer, Caller, Upstream, api, plan, settings};

static GATE_PANICS: AtomicUsize = AtomicUsize::new(0);

/// A task that panics on a core is caught by its runtime, so the tests look for it here.
fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let thread = std::thread::current();
            if thread.name().is_some_and(|name| name.starts_with("gate-") || name == "store") {
                GATE_PANICS.fetch_add(1, Ordering::SeqCst);
            }
            before(panic);
        }));
    });
}

/// A gate, its engine, and where it listens.
pub(crate) struct TestGate {
    pub(crate) engine: Arc<Engine>,
    pub(crate) gate: Option<Gate>,
    pub(crate) address: SocketAddr,
    settings: EngineSettings,
    _data: TempDir,
}

impl TestGate {
    pub(crate) fn open(apis: Vec<ApiSpec>, plans: Vec<PlanSpec>, settings: GateSettings) -> Self {
        watch_for_panics();
        let data = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(DataDirectory::hold(data.path()).unwrap()).unwrap();
        let engine_settings = EngineSettings {
            console_url: "http://localhost:7080".to_owned(),
            gate: Vec::new(),
            watching: Arc::default(),
            key_prefix: KeyPrefix::default(),
            retention: None,
            key_failures: settings.key_failures,
        };
        let policy = Policy::new(apis, plans, TimeZone::UTC);
        let engine = Arc::new(Engine::new(store, policy, engine_settings.clone()));
        let gate = Gate::open(&engine, settings).unwrap();
        let address = gate.addresses()[0];
        Self { engine, gate: Some(gate), address, settings: engine_settings, _data: data }
    }

    /// One API in front of one upstream, and the plan `open` with 1000 writes a day.
    pub(crate) fn simple(upstream: &Upstream) -> Self {
        Self::open(
            vec![api(&[upstream.origin()])],
            vec![plan("open", &["1000 per day"])],
            settings(),
        )
    }

    pub(crate) fn replace_policy(&self, apis: Vec<ApiSpec>, plans: Vec<PlanSpec>) {
        self.engine.replace_policy(Policy::new(apis, plans, TimeZone::UTC), self.settings.clone());
    }

    /// Has the owner do something.
    pub(crate) async fn execute<C: Command>(&self, command: C) -> C::Answer {
        let owner = Principal::CommandLine { account: "owner".to_owned() };
        match self.engine.execute(&owner, command).await {
            Ok(answer) => answer,
            Err(failure) => panic!("{failure}"),
        }
    }

    /// Locks a key.
    pub(crate) async fn lock(&self, key: &str, level: LockLevel, for_millis: Option<i64>) {
        let (key, reason) = (key.to_owned(), "test".to_owned());
        let expected = Expected::Any;
        self.execute(LockKey { key, level, reason, for_millis, expected }).await;
    }

    /// Unlocks a key.
    pub(crate) async fn unlock(&self, key: &str, budgets: Budgets) {
        let (key, expected) = (key.to_owned(), Expected::Any);
        self.execute(UnlockKey { key, budgets, expected }).await;
    }

    /// Revokes a key.
    pub(crate) async fn revoke(&self, key: &str) {
        self.execute(RevokeKey { key: key.to_owned(), expected: Expected::Any }).await;
    }

    /// Suspends the application that keys of a plan belong to.
    pub(crate) async fn suspend(&self, plan: &str) {
        let (application, state) = (format!("app on {plan}"), ApplicationState::Suspended);
        self.execute(SetApplicationState { application, state, expected: Expected::Any }).await;
    }

    /// A new key.
    pub(crate) async fn key(&self, plan: &str) -> String {
        let command = CreateKeys {
            application: format!("app on {plan}"),
            plan: Some(plan.to_owned()),
            count: 1,
        };
        self.execute(command).await.remove(0).key
    }

    pub(crate) async fn details(&self, key: &str) -> KeyDetails {
        self.execute(ShowKey { key: key.to_owned() }).await
    }

    /// What a key has used of its first budget.
    pub(crate) async fn used(&self, key: &str) -> u64 {
        self.details(key).await.budgets[0].used
    }

    /// How often an event of a kind happened to a key.
    pub(crate) async fn events(&self, key: &str, kind: &str) -> usize {
        self.details(key).await.events.iter().filter(|event| event.kind == kind).count()
    }

    /// The journal, earliest first.
    pub(crate) async fn records(&self) -> Vec<WriteRecord> {
        let filter = RecordFilter { order: Order::After(RecordId(0)), ..RecordFilter::default() };
        self.execute(ListRecords { filter }).await
    }

    /// The outcomes of all writes, earliest first.
    pub(crate) async fn outcomes(&self) -> Vec<Outcome> {
        self.records().await.into_iter().map(|record| record.outcome).collect()
    }

    pub(crate) async fn caller(&self) -> Caller {
        Caller::connect(self.address).await
    }

    /// A call on a connection of its own.
    pub(crate) async fn call(&self, method: &str, target: &str, key: &str, body: &[u8]) -> Answer {
        self.caller().await.call(method, target, key, body).await
    }

    /// Sends bytes on a connection of their own, and reads one answer.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> Option<Answer> {
        let mut caller = self.caller().await;
        caller.send(bytes).await;
        caller.answer().await
    }
}

impl Drop for TestGate {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert_eq!(GATE_PANICS.load(Ordering::SeqCst), 0, "a core of some gate panicked");
        }
    }
}
