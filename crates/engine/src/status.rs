//! How the server is.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::policy::api::{Api, Mode};
use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::keys::source_finding::SourceStatus;

/// How the server is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct StatusView {
    /// Whether a server answered, or the store was read without one.
    pub running: bool,
    /// Keystile's version.
    pub version: String,
    /// Since when the server runs.
    pub started: Option<Timestamp>,
    /// Where the gate listens.
    pub gate: Vec<String>,
    /// Where health and metrics are.
    pub console: Option<String>,
    /// The data directory.
    #[cfg_attr(feature = "schema", schema(value_type = String))]
    pub data: std::path::PathBuf,
    /// APIs with their mode and upstreams.
    pub apis: Vec<ApiView>,
    /// Names of the plans.
    pub plans: Vec<String>,
    /// When the policy was read, and what came of the last reload.
    pub policy: String,
    /// How many keys there are, by state.
    pub keys: KeyCounts,
    /// How many records the journal has.
    pub records: u64,
    /// Writes on record in the last 24 hours, by the clock's hours; refusals are none.
    pub writes_today: u64,
    /// The store's size on disk.
    pub store_bytes: u64,
    /// Whether writes can be recorded; otherwise why not.
    pub store: String,
    /// The systems that issue keys beside this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceStatus>,
}

/// How many keys there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct KeyCounts {
    /// Usable ones.
    pub active: u64,
    /// Locked ones.
    pub locked: u64,
    /// Revoked ones.
    pub revoked: u64,
}

/// An API as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct ApiView {
    /// Its name.
    pub name: String,
    /// `enforce`, `observe` or `off`.
    pub mode: String,
    /// Its upstream origins.
    pub upstream: Vec<String>,
}

/// Shows how the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowStatus;

impl Command for ShowStatus {
    type Answer = StatusView;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, StatusView> {
        Box::pin(engine.status())
    }
}

impl Engine {
    async fn status(self: &Arc<Self>) -> Result<StatusView, Failure> {
        let now = self.store.now();
        let policy = self.policy();
        let server = self.server.get();
        let keys = self.store.count_keys().await?;
        let writes_today = self.last_day(now).await?.iter().map(|hour| hour.writes).sum();
        let mut plans: Vec<_> = policy.plans().map(|plan| plan.name().to_owned()).collect();
        plans.sort();
        let api = |api: &Arc<Api>| ApiView {
            name: api.name().to_owned(),
            mode: match api.spec().mode {
                Mode::Off => "off",
                Mode::Observe => "observe",
                Mode::Enforce => "enforce",
            }
            .to_owned(),
            upstream: api.spec().upstream.origins.iter().map(ToString::to_string).collect(),
        };
        Ok(StatusView {
            running: server.is_some(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: server.map(|server| server.started),
            gate: server.map(|server| server.gate.clone()).unwrap_or_default(),
            console: server.map(|server| server.console.clone()),
            data: self.store.directory().path().to_owned(),
            apis: policy.apis().iter().map(api).collect(),
            plans,
            policy: self.policy_words(),
            keys: KeyCounts { active: keys[0], locked: keys[1], revoked: keys[2] },
            records: self.store.count_records().await?,
            writes_today,
            store_bytes: store_bytes(&self.store.directory().database()),
            store: self.store.fault().unwrap_or_else(|| "ok".to_owned()),
            sources: self.sources_shown().await?.into_iter().map(SourceStatus::from).collect(),
        })
    }

    /// What is known of the policy. A command that works on the store itself has put none in force.
    fn policy_words(&self) -> String {
        match (self.server.get(), self.policy().apis()) {
            (Some(_), _) => self.policy_note.load().to_string(),
            (None, []) => "none: no configuration file was read".to_owned(),
            (None, _) => "as the configuration file says now; no server runs by it".to_owned(),
        }
    }
}

fn store_bytes(database: &std::path::Path) -> u64 {
    let size =
        |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(database) + size(&database.with_extension("db-wal"))
}
