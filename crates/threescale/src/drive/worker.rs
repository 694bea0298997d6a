//! The work on an account that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use keystile_core::time::Timestamp;
use keystile_engine::keys::look_up::look_ups::LookUps;
use keystile_engine::keys::source::SyncWanted;
use keystile_engine::{Engine, KeySource};

use crate::drive::account::DrivenAccount;

/// How soon a lock here is asked for there.
const LOCKS: Duration = Duration::from_secs(1);
/// When the portal is read again after a failure, where its turn does not come before.
const AGAIN: Duration = Duration::from_mins(1);

/// Keeps an account in step, for ever: it reads the portal now and then, has locks followed there, looks up keys
/// that are unknown here, and reports usage.
pub async fn run(account: Arc<DrivenAccount>, engine: Arc<Engine>) {
    let source: Arc<dyn KeySource> = account.clone();
    let looking_up = LookUps::carry_out(source, engine.clone());
    let reporting = account.follow_usage(&engine);
    tokio::join!(read(&account, &engine), ask(&account, &engine), looking_up, reporting);
}

async fn read(account: &DrivenAccount, engine: &Arc<Engine>) {
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
        tokio::time::sleep(pause).await;
    }
}

async fn ask(account: &DrivenAccount, engine: &Arc<Engine>) {
    let mut ticks = tokio::time::interval(LOCKS);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Err(failure) = account.follow_locks(engine).await {
            tracing::warn!(source = %account.name, problem = %failure.message, "locks could not be followed");
        }
    }
}
