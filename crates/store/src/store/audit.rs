//! The audit, as owners read it.

use keystile_core::actor::Actor;
use keystile_core::audit::AuditEvent;

use crate::audit::EventOwner;
use crate::error::Result;
use crate::sqlite::audit;
use crate::sqlite::audit::ChainCheck;
use crate::sqlite::audit::event::{self, Event, EventKind, EventQuery};
use crate::sqlite::keys::{application, key};
use crate::store::Store;

impl Store {
    /// Events, latest first.
    ///
    /// # Errors
    /// `Missing` when there is no such key or application; when the store cannot be read.
    pub async fn list_events(
        &self,
        owner: EventOwner,
        query: EventQuery,
    ) -> Result<Vec<AuditEvent>> {
        self.query(move |connection| {
            let EventOwner { key, application } = owner;
            let key = key.map(|key| key::find(connection, &key)).transpose()?;
            let application = application
                .map(|name| application::application_row_of(connection, &name))
                .transpose()?;
            let (key_row, application_row) = (key.map(|key| key.row), application);
            event::list(connection, &EventQuery { key_row, application_row, ..query })
        })
        .await
    }

    /// Writes an event that concerns no key or application.
    ///
    /// # Errors
    /// When the store cannot commit.
    pub async fn record_server_event(
        &self,
        kind: EventKind,
        actor: Actor,
        detail: String,
    ) -> Result<()> {
        self.write(move |tx| tx.record_event(&Event::named(kind, None, &actor, &detail))).await
    }

    /// Walks through all events and says what the first is that does not fit. Takes about a second for each
    /// half million.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn verify_audit(&self) -> Result<ChainCheck> {
        let pepper = self.pepper().clone();
        self.query(move |connection| audit::verify(connection, &pepper)).await
    }
}
