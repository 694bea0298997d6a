//! What owners ask of key sources.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::failure::{failure, missing};
use crate::command::{Authorized, Command, Done, Failure, Running};
use crate::engine::{Engine, KeySource};
use crate::finding::Finding;
use crate::keys::difference::Side;
use crate::keys::source::{KeySourceView, SyncReport, SyncWanted};

/// Brings over what changed in key sources.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncKeySources {
    /// Only this one; all of them where `None`.
    pub source: Option<String>,
    /// How.
    #[serde(default)]
    pub wanted: SyncWanted,
}

/// Looks whether key sources can be used as they are set up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckKeySources {
    /// Only this one; all of them where `None`.
    pub source: Option<String>,
}

/// Shows how key sources stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListKeySources;

/// Takes a side of a difference between a key source and what is here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeSide {
    /// The source.
    pub source: String,
    /// The difference, by its id.
    pub difference: String,
    /// The side.
    pub side: Side,
}

impl Command for SyncKeySources {
    type Answer = Vec<SyncReport>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<SyncReport>> {
        Box::pin(async move {
            let mut reports = Vec::new();
            for source in engine.sources_named(self.source.as_deref())? {
                reports.push(source.synchronize(engine, self.wanted).await?);
            }
            Ok(reports)
        })
    }
}

impl Command for CheckKeySources {
    type Answer = Vec<Finding>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = Vec::new();
            for source in engine.sources_named(self.source.as_deref())? {
                findings.extend(source.check(engine).await?);
            }
            Ok(findings)
        })
    }
}

impl Command for ListKeySources {
    type Answer = Vec<KeySourceView>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(
        self,
        engine: &'a Arc<Engine>,
        _: &'a Authorized,
    ) -> Running<'a, Vec<KeySourceView>> {
        Box::pin(engine.sources_shown())
    }
}

impl Command for TakeSide {
    type Answer = Done;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Done> {
        Box::pin(async move {
            if self.difference.is_empty() {
                let help = "list the differences to see what there is";
                return Err(failure("the difference has no name", help));
            }
            let [source] = &engine.sources_named(Some(&self.source))?[..] else {
                return Err(missing(format!("there is no key source {}", self.source), NAME_FILE));
            };
            source.take_side(engine, by.principal(), (&self.difference, self.side)).await
        })
    }
}

const NAME_FILE: &str = "name the configuration file, and see what it sets up";

impl Engine {
    /// Whether there are any.
    pub fn has_key_sources(&self) -> bool {
        !self.key_sources().is_empty()
    }

    /// The names of the sources that are set up.
    pub fn key_source_names(&self) -> Vec<String> {
        self.key_sources().iter().map(|source| source.name().to_owned()).collect()
    }

    /// Lets key sources write down what they have only in memory, when the server ends.
    pub async fn finish_key_sources(self: &Arc<Self>) {
        for source in self.key_sources().iter() {
            if let Err(failure) = source.finish(self).await {
                tracing::warn!(source = source.name(), problem = %failure.message, "the end of a key source");
            }
        }
    }

    /// The sources that are meant: one, or all.
    fn sources_named(&self, name: Option<&str>) -> Result<Vec<Arc<dyn KeySource>>, Failure> {
        let all = self.key_sources();
        let is_meant = |source: &&Arc<dyn KeySource>| name.is_none_or(|name| source.name() == name);
        let meant: Vec<_> = all.iter().filter(is_meant).cloned().collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        Err(match name {
            Some(name) => missing(format!("there is no key source {name}"), NAME_FILE),
            None => missing("no key source is set up", NAME_FILE),
        })
    }
}
