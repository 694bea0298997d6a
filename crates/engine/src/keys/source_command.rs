//! What owners ask of key sources.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::failure::missing;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::{Engine, KeySource};
use crate::finding::Finding;
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
        Box::pin(async move {
            let mut views = Vec::new();
            for source in engine.key_sources.get().into_iter().flatten() {
                views.push(source.show(engine).await?);
            }
            Ok(views)
        })
    }
}

impl Engine {
    /// The sources that are meant: one, or all.
    fn sources_named(&self, name: Option<&str>) -> Result<Vec<Arc<dyn KeySource>>, Failure> {
        let all = self.key_sources.get().map_or(&[][..], Vec::as_slice);
        let is_meant = |source: &&Arc<dyn KeySource>| name.is_none_or(|name| source.name() == name);
        let meant: Vec<_> = all.iter().filter(is_meant).cloned().collect();
        if !meant.is_empty() {
            return Ok(meant);
        }
        let help = "name the configuration file, and see what it sets up";
        Err(match name {
            Some(name) => missing(format!("there is no key source {name}"), help),
            None => missing("no key source is set up", help),
        })
    }
}
