//! The engine: one store, the policy in force, and what is kept in memory between requests.
//!
//! What it does stands in the file of each use case, as another `impl Engine`.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use keystile_core::actor::Actor;
use keystile_core::budget::Quota;
use keystile_core::keys::imported::ImportedText;
use keystile_core::keys::text::KeyPrefix;
use keystile_core::notifications::watch::WatchRules;
use keystile_core::owners::principal::Principal;
use keystile_core::policy::Policy;
use keystile_core::policy::example_call::{Wanted, example_call};
use keystile_core::time::{Span, Timestamp};
use keystile_store::Store;

use crate::admission::address_counters::AddressTable;
use crate::admission::held_reservations::HeldReservations;
use crate::admission::refusal_log::RefusalLog;
use crate::checks::Checks;
use crate::command::done::Done;
use crate::command::failure::Failure;
use crate::finding::Finding;
use crate::keys::account::{AccountPart, PartReport};
use crate::keys::difference::Side;
use crate::keys::fullest_budgets::FullestBudgets;
use crate::keys::look_up::answer::FoundThere;
use crate::keys::look_up::look_ups::LookUps;
use crate::keys::source::{KeySourceView, SyncMode, SyncReport, SyncWanted};
use crate::notifications::hourly::Hourly;
use crate::notifications::refusal_burst::RefusalBursts;
use crate::notifications::refused_links::RefusedLinks;
use crate::notifications::store_health::StoreHealth;
use crate::owners::attempts::SignIns;

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

/// A configuration that is being read.
pub type Reloading = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send>>;

/// How the configuration is read again and put in force for somebody.
pub struct Reloader(pub(crate) Box<dyn Fn(Arc<Engine>, Actor) -> Reloading + Send + Sync>);

impl Reloader {
    /// One that does it as the program says.
    pub fn new(reload: impl Fn(Arc<Engine>, Actor) -> Reloading + Send + Sync + 'static) -> Self {
        Self(Box::new(reload))
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

/// What a key source is asked for, while it is at it.
pub type FromSource<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// A system that issues keys beside this one.
pub trait KeySource: fmt::Debug + Send + Sync {
    /// What the configuration calls it, with what it is.
    fn name(&self) -> &str;

    /// Brings over what is new there and keeps step with what changed there.
    ///
    /// Fails when the source cannot be read, or looks so different that it is probably not meant; what was
    /// brought over before that stays.
    fn synchronize<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        wanted: SyncWanted,
    ) -> FromSource<'a, SyncReport>;

    /// What bounds the look-ups of keys that are unknown here, and remembers what came of them.
    fn look_ups(&self) -> &LookUps;

    /// Asks there for a key that is unknown here, and brings it over. Only [`LookUps::carry_out`] calls this, which
    /// bounds how often.
    ///
    /// Fails when the source cannot be asked, or what it says cannot be kept.
    fn look_up<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        key: &'a ImportedText,
    ) -> FromSource<'a, FoundThere>;

    /// Whether it can be used as it is set up, and what the settings miss.
    fn check<'a>(&'a self, engine: &'a Arc<Engine>) -> FromSource<'a, Vec<Finding>>;

    /// What becomes there of a lock of this key, in a sentence for owners; nothing where it is none of its keys
    /// or locks are not followed there.
    fn lock_there<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        key: &'a str,
    ) -> FromSource<'a, Option<String>>;

    /// Takes a side of a difference, by its id, for somebody who may do that; says what was done.
    ///
    /// Fails with `Conflict` where it is no longer as its id says, and changes nothing then.
    fn take_side<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        by: &'a Principal,
        taken: (&'a str, Side),
    ) -> FromSource<'a, Done>;

    /// How it stands, from memory and store alone.
    fn show<'a>(&'a self, engine: &'a Arc<Engine>) -> FromSource<'a, KeySourceView>;

    /// The secret that the system shows when it says that something changed there, as it is now; nothing where
    /// it does not say so, or the secret cannot be read.
    fn hint_secret(&self) -> Option<String>;

    /// Takes what the system says that changed there, and looks at it soon. Whatever the body is, it is a hint.
    fn take_hint(&self, engine: &Engine, body: &[u8]);

    /// Writes down what it has only in memory, when the server ends and nothing calls any more.
    fn finish<'a>(&'a self, _: &'a Arc<Engine>) -> FromSource<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A door that keeps an account of another system itself, into which one can be taken over.
pub trait AccountKeeper: fmt::Debug + Send + Sync {
    /// Takes over a part of an account for somebody. What was taken before changes nothing.
    ///
    /// Fails when the part is none, or it cannot be recorded; then nothing of it was taken.
    fn take_over<'a>(
        &'a self,
        by: &'a Principal,
        part: AccountPart,
        mode: SyncMode,
    ) -> FromSource<'a, PartReport>;
}

/// The use cases over one store and the present policy.
#[derive(Debug)]
pub struct Engine {
    pub(crate) store: Arc<Store>,
    pub(crate) policy: ArcSwap<Policy>,
    pub(crate) settings: ArcSwap<EngineSettings>,
    pub(crate) keyless: AddressTable,
    pub(crate) failures: AddressTable,
    pub(crate) refused: RefusalLog,
    pub(crate) held: HeldReservations,
    pub(crate) fullest_budgets: FullestBudgets,
    pub(crate) sign_ins: SignIns,
    pub(crate) refused_links: RefusedLinks,
    pub(crate) refusal_bursts: RefusalBursts,
    pub(crate) store_health: StoreHealth,
    pub(crate) forgetting: Hourly,
    /// Held by whoever changes the claim link and the file that names it, so that the two agree.
    pub(crate) owner_link: tokio::sync::Mutex<()>,
    /// Set once a server serves; commands that run directly on the store leave it empty.
    pub server: OnceLock<ServerInfo>,
    /// How what is outside of the store is looked at; set by the program.
    pub checks: OnceLock<Checks>,
    /// How the configuration is read again; set by a program that serves.
    pub reloader: OnceLock<Reloader>,
    /// The systems that issue keys beside this one; empty where there are none.
    pub(crate) key_sources: ArcSwap<Vec<Arc<dyn KeySource>>>,
    /// The door that keeps an account of another system; set by the program, empty where there is none.
    pub account_keeper: OnceLock<Arc<dyn AccountKeeper>>,
    /// When the policy was read, and what came of the last attempt to read it again.
    pub(crate) policy_note: ArcSwap<String>,
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
            fullest_budgets: FullestBudgets::default(),
            sign_ins: SignIns::default(),
            refused_links: RefusedLinks::default(),
            refusal_bursts: RefusalBursts::default(),
            store_health: StoreHealth::default(),
            forgetting: Hourly::default(),
            owner_link: tokio::sync::Mutex::default(),
            server: OnceLock::new(),
            checks: OnceLock::new(),
            reloader: OnceLock::new(),
            key_sources: ArcSwap::default(),
            account_keeper: OnceLock::new(),
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

    /// The systems that issue keys beside this one.
    pub fn key_sources(&self) -> Arc<Vec<Arc<dyn KeySource>>> {
        self.key_sources.load_full()
    }

    /// Puts other systems in their place.
    pub fn set_key_sources(&self, sources: Vec<Arc<dyn KeySource>>) {
        self.key_sources.store(Arc::new(sources));
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
