//! The use cases of Keystile: the only place where things happen in order.
//!
//! Every door asks [`Engine::admit`] about a request. A read may then be sent. A write needs
//! [`Engine::reserve`], which returns once its intent is durable, and ends with
//! [`OpenWrite::settle`]. What owners ask for is a [`command::Command`], carried out by
//! [`Engine::execute`].
//!
//! Not here: sockets and protocols (doors), rules (core), tables (store).

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use keystile_core::budget::Quota;
use keystile_core::keys::text::KeyPrefix;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::policy::Policy;
use keystile_core::policy::example_call::{Wanted, example_call};
use keystile_core::time::{Span, Timestamp};
use keystile_store::Store;

pub mod admission;
pub mod advice;
pub mod audit;
pub mod backup;
pub mod checks;
pub mod command;
mod execute;
pub mod export;
pub mod journal;
pub mod keys;
mod maintenance;
pub mod notifications;
pub mod owners;
pub mod reload;
pub mod status;

use admission::address_counters::AddressTable;
pub use admission::admit::Admission;
use admission::held::HeldReservations;
pub use admission::identity::{Identity, OpenCall};
pub use admission::permit::{AdmittedRequest, SendGrant};
use admission::refusal_log::RefusalLog;
pub use admission::refused::Refused;
pub use admission::reserve::{OpenWrite, Reservation};
pub use journal::KeyActivity;
pub use keys::budget_warnings::BudgetWarning;
use keys::budget_warnings::BudgetWarnings;
pub use keystile_store::journal::{Activity, AddressUse, HourCount, RecordPage};
use notifications::action_link::RefusedLinks;
use notifications::refusal_burst::RefusalBursts;
use notifications::store_health::StoreHealth;
use owners::sign_in::SignIns;

/// What the engine needs to know besides the policy.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// What keys begin with.
    pub key_prefix: KeyPrefix,
    /// How long records are kept; forever where `None`.
    pub retention: Option<Span>,
    /// How many requests with an unknown key one address may make before it has to wait.
    pub key_failures: Quota,
    /// Where owners open the console while no server has said so, without a slash at the end.
    pub console_url: String,
    /// Where callers arrive while no server has said so, as in [`ServerInfo::gate`].
    pub gate: Vec<String>,
    /// What is told, and on which channels.
    pub watching: Arc<WatchRules>,
}

/// What a running server tells about itself.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    /// Since when it runs.
    pub started: Timestamp,
    /// Where the gate listens, with `https://` before it where it speaks TLS.
    pub gate: Vec<String>,
    /// Where health and metrics are.
    pub console: String,
    /// Where owners open the console, without a slash at the end.
    pub console_url: String,
}

/// The use cases over one store and the present policy.
#[derive(Debug)]
pub struct Engine {
    store: Arc<Store>,
    policy: ArcSwap<Policy>,
    settings: ArcSwap<EngineSettings>,
    keyless: AddressTable,
    failures: AddressTable,
    refused: RefusalLog,
    held: HeldReservations,
    near: BudgetWarnings,
    sign_ins: SignIns,
    refused_links: RefusedLinks,
    refusal_bursts: RefusalBursts,
    store_health: StoreHealth,
    forgot: notifications::notify::Forgot,
    /// Set once a server serves; commands that run directly on the store leave it empty.
    pub server: OnceLock<ServerInfo>,
    /// How what is outside of the store is looked at; set by the program.
    pub checks: OnceLock<checks::Checks>,
    /// How the configuration is read again; set by a program that serves.
    pub reloader: OnceLock<reload::Reloader>,
    /// When the policy was read, and what came of the last attempt to read it again.
    policy_note: ArcSwap<String>,
}

impl Engine {
    /// An engine over a store.
    pub fn new(store: Arc<Store>, policy: Policy, settings: EngineSettings) -> Self {
        let note = format!("read at {}", store.now().readable());
        store.set_watching(settings.watching.clone());
        Self {
            store,
            policy: ArcSwap::from_pointee(policy),
            settings: ArcSwap::from_pointee(settings),
            keyless: AddressTable::default(),
            failures: AddressTable::default(),
            refused: RefusalLog::default(),
            held: HeldReservations::default(),
            near: BudgetWarnings::default(),
            sign_ins: SignIns::default(),
            refused_links: RefusedLinks::default(),
            refusal_bursts: RefusalBursts::default(),
            store_health: StoreHealth::default(),
            forgot: notifications::notify::Forgot::default(),
            server: OnceLock::new(),
            checks: OnceLock::new(),
            reloader: OnceLock::new(),
            policy_note: ArcSwap::from_pointee(note),
        }
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// The store.
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// When the policy was read, and what came of the last attempt to read it again.
    pub fn policy_note(&self) -> Arc<String> {
        self.policy_note.load_full()
    }

    /// A line for a shell that calls with a key of a plan; `None` where no call is known that would pass.
    pub fn example_call(&self, plan: &str, key: &str, wanted: Wanted) -> Option<String> {
        let (policy, settings) = (self.policy.load(), self.settings.load());
        let gate = self.server.get().map_or(&settings.gate, |server| &server.gate).first()?;
        example_call(&policy, policy.plan(plan)?, gate, key, wanted)
    }

    /// Where owners open the console, without a slash at the end.
    pub fn console_url(&self) -> String {
        match self.server.get() {
            Some(server) => server.console_url.clone(),
            None => self.settings.load().console_url.clone(),
        }
    }

    /// Puts another policy in force, at once and as a whole. Requests that were permitted by the one
    /// before finish under it.
    pub fn replace_policy(&self, policy: Policy, settings: EngineSettings) {
        self.store.set_watching(settings.watching.clone());
        self.policy.store(Arc::new(policy));
        self.settings.store(Arc::new(settings));
        self.policy_note.store(Arc::new(format!("read at {}", self.store.now().readable())));
    }
}
