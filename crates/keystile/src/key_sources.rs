//! The key sources of a configuration: accounts of 3scale that stay in charge of keys and plans.
//!
//! # What this protects
//! An account is driven by one object at a time, also when its settings change while the server runs: the one that
//! comes shares what the one before knows, and waits for what that is at. An account that is gone from the
//! configuration is remembered, so that this holds when it comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use keystile_engine::{Engine, KeySource};
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale::drive::{DrivenAccount, worker};
use keystile_threescale::portal::settings::SettingsError;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

/// Work that begins at once; whoever adds more waits a moment.
const BEGINNING: usize = 16;

/// Gives an engine its key sources without any work on them. Fails when the certificates that one of them
/// trusts cannot be used.
pub(crate) fn install(engine: &Engine, settings: Vec<DriveSettings>) -> Result<(), SettingsError> {
    let accounts: Result<Vec<_>, _> =
        settings.into_iter().map(|account| DrivenAccount::new(account).map(Arc::new)).collect();
    Prepared { accounts: accounts?, said: Vec::new() }.install(engine);
    Ok(())
}

fn as_sources(accounts: &[Arc<DrivenAccount>]) -> Vec<Arc<dyn KeySource>> {
    accounts.iter().map(|account| account.clone() as Arc<dyn KeySource>).collect()
}

/// The accounts that a server drives.
#[derive(Debug)]
pub(crate) struct KeySources {
    accounts: Mutex<Accounts>,
    begun: mpsc::Sender<AccountTask>,
}

/// Accounts by name.
#[derive(Debug, Default)]
struct Accounts {
    /// As each was last, also those that are not driven any more.
    known: BTreeMap<String, Arc<DrivenAccount>>,
    /// The work on those that are driven; it ends when this is dropped.
    working: BTreeMap<String, watch::Sender<()>>,
}

/// The work on an account, which begins.
#[derive(Debug)]
struct AccountTask {
    account: Arc<DrivenAccount>,
    /// Whether there was none of its name since the start.
    is_new: bool,
    running: watch::Receiver<()>,
}

/// The work that a server does.
#[derive(Debug)]
pub(crate) struct AccountTasks(mpsc::Receiver<AccountTask>);

/// Accounts that can be put in force.
#[derive(Debug)]
pub(crate) struct Prepared {
    accounts: Vec<Arc<DrivenAccount>>,
    /// What of their settings takes a restart.
    said: Vec<String>,
}

impl Prepared {
    /// Lets an engine know them before there is work on them.
    pub(crate) fn install(&self, engine: &Engine) {
        engine.set_key_sources(as_sources(&self.accounts));
    }
}

impl KeySources {
    /// None yet, and the work on those to come.
    pub(crate) fn new() -> (Self, AccountTasks) {
        let (begun, tasks) = mpsc::channel(BEGINNING);
        (Self { accounts: Mutex::default(), begun }, AccountTasks(tasks))
    }

    /// Accounts as a configuration has them; nothing changes yet. Fails when the certificates that one of them
    /// trusts cannot be used.
    pub(crate) async fn prepare(
        &self,
        settings: Vec<DriveSettings>,
    ) -> Result<Prepared, SettingsError> {
        let accounts = self.accounts.lock().await;
        let is_kept = |settings: &&DriveSettings| {
            let known = accounts.known.get(&settings.name);
            known.is_some_and(|known| reports_otherwise(known.settings(), settings))
        };
        let keep = |settings: &DriveSettings| {
            let name = &settings.name;
            format!("How usage of [threescale.{name}] is reported changes with a restart.")
        };
        let said = settings.iter().filter(is_kept).map(keep).collect();
        let prepare = |settings: DriveSettings| match accounts.known.get(&settings.name) {
            // What a file of certificates holds may have changed.
            Some(known) if *known.settings() == settings && settings.portal.ca_file.is_none() => {
                Ok(known.clone())
            }
            Some(known) => known.with(settings).map(Arc::new),
            None => DrivenAccount::new(settings).map(Arc::new),
        };
        let accounts = settings.into_iter().map(prepare).collect::<Result<_, _>>()?;
        Ok(Prepared { accounts, said })
    }

    /// Puts accounts in the place of those that are driven. What is said of those that are gone comes back.
    pub(crate) async fn put_in_force(
        &self,
        engine: &Arc<Engine>,
        prepared: Prepared,
    ) -> Vec<String> {
        let mut kept = self.accounts.lock().await;
        let Accounts { known, working } = &mut *kept;
        prepared.install(engine);
        let Prepared { accounts, mut said } = prepared;
        let is_gone = |name: &String| !accounts.iter().any(|to| to.settings().name == *name);
        let gone: Vec<_> = working.extract_if(.., |name, _| is_gone(name)).collect();
        for account in gone.iter().filter_map(|(name, _)| known.get(name)) {
            said.push(farewell(engine, account).await);
        }
        for account in accounts {
            let name = account.settings().name.clone();
            let is_same = known.get(&name).is_some_and(|known| Arc::ptr_eq(known, &account));
            if is_same && working.contains_key(&name) {
                continue;
            }
            let is_new = known.insert(name.clone(), account.clone()).is_none();
            let (ends, running) = watch::channel(());
            working.insert(name, ends);
            if self.begun.send(AccountTask { account, is_new, running }).await.is_err() {
                tracing::error!("the work on key sources has ended");
            }
        }
        said
    }
}

/// Whether usage is reported as before though settings say otherwise: it is counted and reported in one place,
/// which begins with the server.
fn reports_otherwise(before: &DriveSettings, settings: &DriveSettings) -> bool {
    let is_same = before.usage == settings.usage
        && (before.usage.is_none()
            || (before.service == settings.service && before.portal == settings.portal));
    !is_same
}

/// What an owner should know of an account that is not driven any more.
async fn farewell(engine: &Arc<Engine>, account: &DrivenAccount) -> String {
    let name = account.name();
    account.let_go_of_keys(engine);
    let locks = match account.show(engine).await {
        Ok(shown) => shown.locks.len(),
        Err(failure) => {
            tracing::warn!(source = %name, problem = %failure.message, "an account is let go unseen");
            0
        }
    };
    let left = match locks {
        0 => String::new(),
        1 => "; what a lock here asked for there stays, for 1 application".to_owned(),
        many => format!("; what locks here asked for there stays, for {many} applications"),
    };
    let reported = match account.settings().usage {
        Some(_) => " Its usage is reported until a restart.",
        None => "",
    };
    format!("{name} is not followed any more, and its keys stay{left}.{reported}")
}

impl AccountTasks {
    /// Does the work for ever; this ends where that on one of the accounts breaks off.
    pub(crate) async fn run(mut self, engine: Arc<Engine>) {
        let mut following = JoinSet::new();
        loop {
            tokio::select! {
                Some(AccountTask { account, is_new, running }) = self.0.recv() => {
                    if is_new {
                        following.spawn(worker::report(account.clone(), engine.clone()));
                    }
                    following.spawn(worker::run(account, engine.clone(), running));
                }
                Some(ended) = following.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "the work on a key source broke off");
                        return;
                    }
                }
                else => std::future::pending().await,
            }
        }
    }
}
