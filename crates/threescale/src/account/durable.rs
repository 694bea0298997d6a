//! What is told of events and errors: what a crash does not take back.

use keystile_store::error::Result as StoreResult;

use super::decide::NotRecorded;
use super::event::{Event, ReportError};
use super::state::Account;

impl Account {
    /// Events with their numbers, oldest first.
    ///
    /// # Errors
    /// When the store does not take those that it does not have yet.
    pub async fn told_events(&self) -> Result<Vec<(u64, Event)>, NotRecorded> {
        recorded(self.events.list_durable(&self.store).await)
    }

    /// Forgets the events whose numbers are meant, for good. Says how many.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn forget_events(
        &self,
        is_meant: impl Fn(u64) -> bool,
    ) -> Result<usize, NotRecorded> {
        recorded(self.events.remove(&self.store, |number, _| is_meant(number)).await)
    }

    /// Reports of a service that did not count, oldest first.
    ///
    /// # Errors
    /// When the store does not take those that it does not have yet.
    pub async fn told_errors(&self, service: &str) -> Result<Vec<ReportError>, NotRecorded> {
        let errors = recorded(self.errors.list_durable(&self.store).await)?;
        let errors = errors.into_iter().map(|(_, error)| error);
        Ok(errors.filter(|error| error.service_id == service).collect())
    }

    /// Forgets the reports of a service that did not count, for good.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn forget_errors(&self, service: &str) -> Result<(), NotRecorded> {
        let removed = self.errors.remove(&self.store, |_, error| error.service_id == service);
        recorded(removed.await).map(|_| ())
    }

    /// Keeps what a call gave rise to before it is answered. The call was counted all the same, so where the store
    /// takes no more it is answered, and this is tried again every second.
    pub(super) async fn save_told(&self) {
        let events = self.events.save(&self.store).await;
        let errors = self.errors.save(&self.store).await;
        if let Err(error) = events.and(errors) {
            tracing::warn!(%error, "an event of the 3scale account is not recorded yet");
        }
    }
}

fn recorded<T>(result: StoreResult<T>) -> Result<T, NotRecorded> {
    result.map_err(|error| {
        tracing::warn!(%error, "events of the 3scale account cannot be recorded");
        NotRecorded
    })
}
