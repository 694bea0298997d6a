//! Copies of the store.

use std::path::PathBuf;
use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::time::Timestamp;
use keystile_store::audit::EventKind;
use serde::{Deserialize, Serialize};

use crate::audit::EventFilter;
use crate::command::{Authorized, Command, Done, Running};
use crate::engine::Engine;

/// Copies the store into a new file and verifies the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackUp {
    /// The file, which must not exist.
    pub to: PathBuf,
}

/// Shows when the last backup was made, where one is on record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShowLastBackup;

impl Command for BackUp {
    type Answer = Done;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Done> {
        Box::pin(async move {
            let contents = engine.store.back_up(self.to.clone()).await?;
            let file = self.to.display();
            let actor = by.actor().clone();
            engine.note(EventKind::BackupMade, actor, format!("to {file}")).await;
            Ok(Done(format!(
                "Backed up {} keys and {} records to {file} ({} bytes) and verified the copy. It holds the pepper: keep it private.",
                contents.keys, contents.records, contents.bytes
            )))
        })
    }
}

impl Command for ShowLastBackup {
    type Answer = Option<Timestamp>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Option<Timestamp>> {
        Box::pin(async move {
            let kind = Some(EventKind::BackupMade.name().to_owned());
            let filter = EventFilter { kind, limit: 1, ..EventFilter::default() };
            Ok(engine.events(filter).await?.first().map(|event| event.time))
        })
    }
}
