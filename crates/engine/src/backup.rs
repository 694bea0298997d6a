//! Copies of the store.

use std::path::PathBuf;
use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_store::audit::EventKind;
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::command::{Authorized, Command, Done, Running};

/// Copies the store into a new file and verifies the copy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackUp {
    /// The file, which must not exist.
    pub to: PathBuf,
}

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
