//! Taking over keys that another system issued.

use std::sync::Arc;

use keystile_core::keys::imported::ImportedText;
use keystile_core::keys::key::KeyId;
use keystile_core::label::Label;
use keystile_core::owners::scope::Scope;
use keystile_store::error::Error;
use keystile_store::keys::{ImportedKey, KeyRef, NewKeyRow};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::command::failure::conflict;
use crate::command::input::{check_label, check_name, checked_note};
use crate::command::{Authorized, Command, Edited, Failure, Running};
use crate::engine::Engine;
use crate::keys::key::KeyView;

/// How many characters of its id stand for a key whose text shows nothing of itself.
const STAND_IN_CHARS: usize = 8;

/// Takes over a key that another system issued, so that its caller need not change it. Its application is
/// created when it is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportKey {
    /// The application's name.
    pub application: String,
    /// The key's plan, and the application's when it is new; the application's plan, where `None`.
    pub plan: Option<String>,
    /// The key.
    pub text: ImportedText,
    /// Which system it comes from, or what brings it over; listings and the audit name it.
    pub origin: String,
    /// What the key was called there, kept as its note.
    pub name: Option<String>,
}

impl Command for ImportKey {
    type Answer = Edited<KeyView>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Edited<KeyView>> {
        Box::pin(async move {
            let Self { application, plan, text, origin, name } = self;
            check_name(&application)?;
            check_label(Label::Name, "the origin of a key", &origin)?;
            let note = checked_note(name.as_deref().unwrap_or_default())?;
            let plan = engine.plan_of_new_keys(&application, plan).await?;
            engine.check_names_no_key(&text).await?;
            let key = engine.imported_key(&text, plan, origin);
            let new = ImportedKey { application, key, note };
            let key = engine.store.import_key(new, by.actor().clone()).await.map_err(taken)?;
            let done = format!(
                "Imported {} for application {} on plan {}.",
                key.prefix, key.application, key.plan
            );
            Ok(Edited { done, now: engine.edited_key(key).await })
        })
    }
}

/// What listings show of a key whose text shows nothing of itself.
pub(super) fn stand_in(id: KeyId) -> String {
    let id = id.to_string();
    format!("imported_{}", &id[id.len().saturating_sub(STAND_IN_CHARS)..])
}

fn taken(error: Error) -> Failure {
    match error {
        Error::Exists(what) => {
            conflict(format!("there is already {what}"), "each key is taken over once")
        }
        other => other.into(),
    }
}

impl Engine {
    fn imported_key(&self, text: &ImportedText, plan: String, origin: String) -> NewKeyRow {
        let id = KeyId::new(Uuid::now_v7());
        NewKeyRow {
            id,
            hash: self.store.pepper().hash(text.expose().as_bytes()),
            prefix: text.hint().map_or_else(|| stand_in(id), str::to_owned),
            plan,
            origin: Some(origin),
        }
    }

    /// Whoever names a key by its id or prefix must not be given the one whose text reads so.
    async fn check_names_no_key(&self, text: &ImportedText) -> Result<(), Failure> {
        match self.store.key(KeyRef::Named(text.expose().to_owned())).await {
            Err(Error::Missing(_)) => Ok(()),
            Ok(_) | Err(Error::Conflict(_)) => Err(conflict(
                "the text is the id or the prefix of another key, by which that is named",
                "have the other system issue another key",
            )),
            Err(other) => Err(other.into()),
        }
    }
}
