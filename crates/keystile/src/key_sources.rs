//! The key sources of a configuration: accounts of 3scale that stay in charge of keys and plans.

use std::sync::Arc;

use keystile_engine::{Engine, KeySource};
use keystile_threescale::drive::settings::DriveSettings;
use keystile_threescale::drive::{DrivenAccount, worker};
use keystile_threescale::portal::settings::SettingsError;
use tokio::task::JoinSet;

/// Gives an engine its key sources. Fails when the certificates that one of them trusts cannot be used.
pub(crate) fn install(
    engine: &Engine,
    settings: Vec<DriveSettings>,
) -> Result<Vec<Arc<DrivenAccount>>, SettingsError> {
    let accounts: Result<Vec<_>, _> =
        settings.into_iter().map(|account| DrivenAccount::new(account).map(Arc::new)).collect();
    let accounts = accounts?;
    let sources = accounts.iter().map(|account| account.clone() as Arc<dyn KeySource>).collect();
    engine.key_sources.set(sources).expect("an engine gets its sources once, when it is made");
    Ok(accounts)
}

/// Keeps step with the sources for ever; it ends where that ends unexpectedly for one of them.
pub(crate) async fn follow(accounts: Vec<Arc<DrivenAccount>>, engine: Arc<Engine>) {
    let mut following = JoinSet::new();
    for account in accounts {
        following.spawn(worker::run(account, engine.clone()));
    }
    match following.join_next().await {
        None => std::future::pending().await,
        Some(Ok(())) => {}
        Some(Err(error)) => tracing::error!(%error, "the work on a key source broke off"),
    }
}
