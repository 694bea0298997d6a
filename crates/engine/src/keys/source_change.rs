//! What a key source changes: records of its own, with the applications and keys here that follow them.

use std::sync::Arc;

use keystile_core::keys::application::ApplicationId;
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::key::KeyId;
use keystile_core::label::Label;
use keystile_core::owners::scope::Scope;
use keystile_store::doors::source_change::SourceChange;
use keystile_store::keys::NewKeyRow;
use uuid::Uuid;

use crate::command::input::{check_label, check_name};
use crate::command::{Authorized, Command, Running};
use crate::engine::Engine;
use crate::keys::import::stand_in;

/// Makes a change of a key source. What it keeps and what follows here are one commit.
#[derive(Clone, Debug, Default)]
pub struct ChangeSource {
    /// The change.
    pub change: SourceChange,
}

impl Command for ChangeSource {
    /// Which keys could not be taken over and why, each in a sentence.
    type Answer = Vec<String>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Vec<String>> {
        Box::pin(async move {
            let Self { change } = self;
            for application in &change.applications {
                for name in application.new.iter().flat_map(|new| &new.names) {
                    check_name(name)?;
                }
                let new_plan = application.new.as_ref().map(|new| &new.plan);
                for plan in new_plan.into_iter().chain(&application.plan) {
                    engine.check_plan(plan)?;
                }
                for origin in application.added.iter().filter_map(|key| key.origin.as_ref()) {
                    check_label(Label::Name, "the origin of a key", origin)?;
                }
            }
            Ok(engine.store.change_source(change, by.actor().clone()).await?)
        })
    }
}

/// The id of an application that is to be made.
pub fn new_application_id() -> ApplicationId {
    ApplicationId::new(Uuid::now_v7())
}

/// A key to take over whose text is known to its source alone. It will be on its application's plan.
pub fn hashed_key(hash: KeyHash, origin: &str) -> NewKeyRow {
    let id = KeyId::new(Uuid::now_v7());
    let (plan, origin) = (String::new(), Some(origin.to_owned()));
    NewKeyRow { id, hash, prefix: stand_in(id), plan, origin }
}
