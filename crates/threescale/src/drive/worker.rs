//! The work on an account that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_engine::keys::look_up::look_ups::LookUps;
use keystile_engine::keys::source::SyncWanted;
use keystile_engine::{Engine, KeySource};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::drive::account::DrivenAccount;
use crate::drive::hint::Hinted;

/// How soon a lock here is asked for there.
const LOCKS: Duration = Duration::from_secs(1);
/// When the portal is read again after a failure, where its turn does not come before.
const AGAIN: Duration = Duration::from_mins(1);
/// How long hints are gathered: a change in the portal sends several.
const GATHERED: Duration = Duration::from_millis(500);
/// When hints are looked at again after a failure, where they name applications.
const HINTS_AGAIN: Duration = Duration::from_secs(5);
/// The least time between two readings of everything that hints ask for.
const READINGS: Duration = Duration::from_secs(10);

/// Keeps an account in step, until the other end of `running` is dropped: it reads the portal now and then and
/// when a hint comes, has locks followed there, and looks up keys that are unknown here. What it is at then, it
/// ends; only whoever waits for a look-up has to ask again.
pub async fn run(account: Arc<DrivenAccount>, engine: Arc<Engine>, running: watch::Receiver<()>) {
    let source: Arc<dyn KeySource> = account.clone();
    let looking_up = LookUps::carry_out(source, engine.clone());
    let in_step = async {
        tokio::join!(
            read(&account, &engine, running.clone()),
            ask(&account, &engine, running.clone()),
            listen(&account, &engine, running.clone()),
        )
    };
    tokio::select! {
        _ = in_step => {}
        () = looking_up => {}
    }
}

/// Reports what the applications of an account use, for ever; it ends at once where that is not reported. There is
/// one such work for each account, which outlives its settings.
pub async fn report(account: Arc<DrivenAccount>, engine: Arc<Engine>) {
    if account.settings.usage.is_some() {
        account.follow_usage(&engine).await;
    }
}

/// Whether the work goes on after a pause. It ends nowhere else, so that nothing is left half done.
async fn goes_on(running: &mut watch::Receiver<()>, pause: impl Future<Output = ()>) -> bool {
    tokio::select! {
        // Nothing is ever sent: this is its end.
        _ = running.changed() => false,
        () = pause => true,
    }
}

async fn read(account: &DrivenAccount, engine: &Arc<Engine>, mut running: watch::Receiver<()>) {
    // What was true before a restart still is, however long the portal takes now.
    if let Ok(note) = account.documents.note(engine).await {
        account.limit_keys(engine, &note);
    }
    loop {
        let refresh = account.settings.refresh;
        let pause = match account.read_and_follow(engine, SyncWanted::default()).await {
            Ok(report) => {
                if report.changed > 0 || report.left > 0 {
                    tracing::info!(
                        source = %report.source,
                        changed = report.changed,
                        left = report.left,
                        "3scale was read"
                    );
                }
                refresh
            }
            Err(failure) => {
                tracing::warn!(source = %account.name, problem = %failure.message, "3scale could not be read");
                refresh.min(AGAIN)
            }
        };
        let millis = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
        account.set_next(Timestamp(engine.store().now().0.saturating_add(millis)));
        if !goes_on(&mut running, sleep(pause)).await {
            return;
        }
    }
}

async fn ask(account: &DrivenAccount, engine: &Arc<Engine>, mut running: watch::Receiver<()>) {
    loop {
        if let Err(failure) = account.follow_locks(engine).await {
            tracing::warn!(source = %account.name, problem = %failure.message, "locks could not be followed");
        }
        if !goes_on(&mut running, sleep(LOCKS)).await {
            return;
        }
    }
}

async fn listen(account: &DrivenAccount, engine: &Arc<Engine>, mut running: watch::Receiver<()>) {
    loop {
        let gathered = async {
            account.hints.arrived().await;
            sleep(GATHERED).await;
        };
        if !goes_on(&mut running, gathered).await {
            return;
        }
        let hinted = account.hints.take();
        let pause = match account.follow_hints(engine, &hinted).await {
            Ok(()) if hinted == Hinted::Everything => READINGS,
            Ok(()) => GATHERED,
            Err(failure) => {
                tracing::warn!(source = %account.name, problem = %failure.message, "a webhook could not be followed; it will be");
                let pause = if hinted == Hinted::Everything { AGAIN } else { HINTS_AGAIN };
                account.hints.put_back(hinted);
                pause
            }
        };
        if !goes_on(&mut running, sleep(pause)).await {
            return;
        }
    }
}
