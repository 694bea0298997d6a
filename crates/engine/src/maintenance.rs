//! Work that nobody asks for: it takes no input, may run at any time and any number of times, and does
//! only what is due.

use keystile_core::time::Timestamp;

use crate::engine::Engine;

/// So many records are deleted in one transaction, so that writes do not wait for retention.
const DELETED_AT_ONCE: u32 = 2_000;

impl Engine {
    /// Does what is due. Call it about once a second.
    pub async fn run_maintenance(&self) {
        self.write_refused();
        self.hand_over_overdue(self.store.now());
        self.watch_store().await;
        self.record_refusal_bursts().await;
        self.report_refused_links().await;
        self.report_failed_sign_ins().await;
        self.forget_sessions().await;
        self.forget_deliveries().await;
        if let Err(error) = self.store.delete_ended_meters().await {
            tracing::warn!(%error, "meters whose time is over could not be deleted");
        }
        if let Some(retention) = self.settings.load().retention {
            let end = Timestamp(self.store.now().0.saturating_sub(retention.millis()));
            if let Err(error) = self.store.delete_records_before(end, DELETED_AT_ONCE).await {
                tracing::warn!(%error, "records beyond the retention could not be deleted");
            }
        }
    }
}
