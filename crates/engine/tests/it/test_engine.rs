//! An engine on a store of its own, whose clock a test can set forward.

use std::net::IpAddr;
use std::sync::Arc;

use jiff::tz::TimeZone;
use keystile_core::keys::text::KeyPrefix;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::secret::PasswordHash;
use keystile_core::policy::Policy;
use keystile_engine::audit::ListEvents;
use keystile_engine::command::{Command, Failure};
use keystile_engine::owners::claim::{
    ClaimLink, Claimed, MakeClaimLink, NewOwner, OwnerCredential,
};
use keystile_engine::owners::owner::OwnerView;
use keystile_engine::owners::session::{NewSession, SignInMethod};
use keystile_engine::{Engine, EngineSettings};
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use rusqlite::Connection;
use uuid::Uuid;

pub(crate) struct TestEngine {
    folder: tempfile::TempDir,
    engine: Option<Arc<Engine>>,
}

pub(crate) fn wait<T>(answer: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(answer)
}

pub(crate) fn shell() -> Principal {
    Principal::CommandLine { account: "ada".to_owned() }
}

pub(crate) fn address() -> IpAddr {
    "192.0.2.7".parse().unwrap()
}

pub(crate) fn somebody(name: &str) -> NewOwner {
    NewOwner {
        name: name.to_owned(),
        handle: Uuid::now_v7(),
        credential: OwnerCredential::Password(PasswordHash::new("$argon2id$x".to_owned())),
    }
}

pub(crate) fn settings() -> EngineSettings {
    EngineSettings {
        key_prefix: KeyPrefix::default(),
        retention: None,
        key_failures: "300 per minute".parse().unwrap(),
        console_url: "https://console.example.org".to_owned(),
        gate: Vec::new(),
        watching: Arc::default(),
    }
}

impl TestEngine {
    pub(crate) fn new() -> Self {
        let mut fixture = Self { folder: tempfile::tempdir().unwrap(), engine: None };
        fixture.open();
        fixture
    }

    fn open(&mut self) {
        let directory = DataDirectory::hold(self.folder.path()).unwrap();
        let (store, _) = Store::open(directory).unwrap();
        let policy = Policy::new(Vec::new(), Vec::new(), TimeZone::UTC);
        self.engine = Some(Arc::new(Engine::new(store, policy, settings())));
    }

    /// The same store in a new process, some time later.
    pub(crate) fn later(&mut self, millis: i64) {
        self.engine.take().unwrap().store().close();
        let database = Connection::open(self.folder.path().join("keystile.db")).unwrap();
        let anchor: String = database
            .query_row("SELECT value FROM meta WHERE name = 'clock'", [], |row| row.get(0))
            .unwrap();
        let (boot, offset) = anchor.split_once(' ').unwrap();
        let later = format!("{boot} {}", offset.parse::<i64>().unwrap() + millis);
        database.execute("UPDATE meta SET value = ?1 WHERE name = 'clock'", [later]).unwrap();
        drop(database);
        self.open();
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn claim_link(&self) -> ClaimLink {
        self.execute(&shell(), MakeClaimLink).unwrap()
    }

    pub(crate) fn execute<C: Command>(
        &self,
        principal: &Principal,
        command: C,
    ) -> Result<C::Answer, Failure> {
        wait(self.engine().execute(principal, command))
    }

    pub(crate) fn claim(&self, name: &str) -> Claimed {
        let link = self.claim_link();
        wait(self.engine().claim(link.secret.expose(), somebody(name))).unwrap()
    }

    pub(crate) fn sign_in(&self, owner: &OwnerView) -> String {
        let new = NewSession {
            owner: owner.id,
            method: SignInMethod::Password,
            address: address(),
            agent: "Firefox".to_owned(),
        };
        wait(self.engine().begin_session(new)).unwrap().expose().to_owned()
    }

    /// The kinds of all events, earliest first.
    pub(crate) fn event_kinds(&self) -> Vec<String> {
        let events = self.execute(&shell(), ListEvents::default()).unwrap();
        events.into_iter().rev().map(|event| event.kind).collect()
    }
}
