//! The work on usage that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use tokio::time::MissedTickBehavior;

use super::reports::UsageReports;
use super::send::Pace;
use crate::drive::account::DrivenAccount;

/// How often is counted, and looked whether a report is due.
const TICK: Duration = Duration::from_secs(1);
/// How long the end waits for a report that is on its way.
const LAST_REPORT: Duration = Duration::from_secs(5);

impl DrivenAccount {
    /// Counts usage and reports it, for ever; where it is not reported, it only waits.
    pub(crate) async fn follow_usage(self: &Arc<Self>, engine: &Arc<Engine>) {
        let Some(usage) = &self.usage else {
            return std::future::pending().await;
        };
        if usage.map.counts_reads() {
            engine.store().keys().count_reads();
        }
        tokio::join!(self.keep_collecting(usage, engine), self.keep_reporting(usage, engine));
    }

    /// Counts what was used until now, when nothing is used any more, and waits a little for a report that is on
    /// its way. Call it when the work has ended, and before the store is closed.
    pub(crate) async fn finish_usage(&self, engine: &Arc<Engine>) -> Result<(), Failure> {
        let Some(usage) = &self.usage else {
            return Ok(());
        };
        // What became of the last writes is on its way to their records.
        engine.store().flush().await?;
        self.collect(usage, engine).await?;
        if tokio::time::timeout(LAST_REPORT, usage.sending.lock()).await.is_err() {
            tracing::warn!(source = %self.name, "a report is given up, which may count in 3scale");
        }
        Ok(())
    }

    async fn keep_collecting(&self, usage: &UsageReports, engine: &Arc<Engine>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if let Err(failure) = self.collect(usage, engine).await {
                tracing::warn!(source = %self.name, problem = %failure.message, "usage could not be counted; it will be");
            }
        }
    }

    async fn keep_reporting(self: &Arc<Self>, usage: &UsageReports, engine: &Arc<Engine>) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            match self.recover(usage, engine).await {
                Ok(()) => break,
                Err(failure) => {
                    tracing::warn!(source = %self.name, problem = %failure.message, "reports do not begin yet");
                }
            }
        }
        let mut pace = Pace::new();
        loop {
            ticks.tick().await;
            // In a task of its own: where this is given up, a report that is on its way still ends.
            let (account, engine) = (self.clone(), engine.clone());
            let round = tokio::spawn(async move {
                let result = account.report(&engine, &mut pace).await;
                (pace, result)
            });
            let Ok((paced, result)) = round.await else {
                tracing::error!(source = %self.name, "a report broke off");
                return;
            };
            pace = paced;
            if let Err(failure) = result {
                tracing::warn!(source = %self.name, problem = %failure.message, "usage could not be reported");
            }
        }
    }
}
