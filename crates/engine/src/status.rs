//! How the server is, and what is wrong with it.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use keystile_core::policy::api::{Api, Mode};
use keystile_core::time::{Span, Timestamp};
use serde::{Deserialize, Serialize};

use crate::Engine;
use crate::audit::EventFilter;
use crate::command::{Authorized, Command, Failure, FailureKind, Running};

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

/// Something that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct Finding {
    /// How it is.
    pub level: FindingLevel,
    /// What was looked at.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

/// How something that was looked at is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub enum FindingLevel {
    /// As it should be.
    Good,
    /// Worth a look.
    Warning,
    /// Wrong.
    Problem,
}

/// Shows how the server is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShowStatus;

/// Looks for faults in all that can be looked at in a moment: everything but the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFindings;

/// Looks for faults, through the whole file of the store, and tries to reach upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnose;

impl Command for ShowStatus {
    type Answer = StatusView;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, StatusView> {
        Box::pin(engine.status())
    }
}

impl Command for ListFindings {
    type Answer = Vec<Finding>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<Finding>> {
        Box::pin(engine.quick_findings())
    }
}

impl Command for Diagnose {
    type Answer = Vec<Finding>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<Finding>> {
        Box::pin(async move {
            let mut findings = engine.quick_findings().await?;
            findings.extend(engine.off_the_runtime(Engine::upstream_findings).await?);
            findings.push(match engine.store.check_file().await? {
                None => good("database", "the file is sound".to_owned()),
                Some(fault) => Finding {
                    level: FindingLevel::Problem,
                    subject: "database".to_owned(),
                    message: fault,
                    help: Some(
                        "stop Keystile, keep a copy, and restore the latest backup".to_owned(),
                    ),
                },
            });
            Ok(findings)
        })
    }
}

impl Engine {
    async fn status(&self) -> Result<StatusView, Failure> {
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

    async fn quick_findings(self: &Arc<Self>) -> Result<Vec<Finding>, Failure> {
        let mut findings = self
            .off_the_runtime(|engine| {
                vec![
                    engine.commits(),
                    engine.log(),
                    engine.pepper(),
                    engine.clock(),
                    engine.exposure(),
                ]
            })
            .await?;
        findings.push(self.plans().await?);
        findings.extend(self.channel_findings().await?);
        Ok(findings)
    }

    /// Looks at files and addresses in a thread that may wait for them.
    pub(crate) async fn off_the_runtime(
        self: &Arc<Self>,
        look: impl FnOnce(&Self) -> Vec<Finding> + Send + 'static,
    ) -> Result<Vec<Finding>, Failure> {
        let engine = self.clone();
        tokio::task::spawn_blocking(move || look(&engine)).await.map_err(|error| {
            tracing::error!(%error, "looking for faults broke off");
            Failure {
                kind: FailureKind::Fault,
                message: "the server failed while it looked for faults".to_owned(),
                help: Some("see its log".to_owned()),
            }
        })
    }

    fn commits(&self) -> Finding {
        match self.store.fault() {
            None => good("commits", "the store records what it should".to_owned()),
            Some(fault) => Finding {
                level: FindingLevel::Problem,
                subject: "commits".to_owned(),
                message: format!("the store cannot commit: {fault}"),
                help: Some(
                    "mend what it says, such as room on the disk; writes go on by themselves"
                        .to_owned(),
                ),
            },
        }
    }

    fn exposure(&self) -> Finding {
        match self.store.directory().exposure() {
            None => good("data", "only its own account reaches the data directory".to_owned()),
            Some(message) => Finding {
                level: FindingLevel::Warning,
                subject: "data".to_owned(),
                message,
                help: Some("give directory and files to the account that Keystile runs as, and close them to others: chmod 700 for the directory, 600 for its files".to_owned()),
            },
        }
    }

    fn log(&self) -> Finding {
        match self.store.warning() {
            None => good("log", "the log is brought into the database".to_owned()),
            Some(message) => Finding {
                level: FindingLevel::Problem,
                subject: "log".to_owned(),
                message,
                help: Some(
                    "see whether the disk is full or failing, and end what reads the file for long"
                        .to_owned(),
                ),
            },
        }
    }

    fn pepper(&self) -> Finding {
        if self.store.directory().has_pepper(self.store.pepper()) {
            return good("pepper", "the pepper is that of the keys".to_owned());
        }
        Finding {
            level: FindingLevel::Problem,
            subject: "pepper".to_owned(),
            message: "the pepper file is not the one that the keys were made with; after a restart no key would be recognized".to_owned(),
            help: Some("put the right one back before the server is restarted; a backup holds it".to_owned()),
        }
    }

    fn clock(&self) -> Finding {
        let drift = keystile_store::clock::wall_clock().0 - self.store.now().0;
        if drift.abs() <= 5_000 {
            return good("clock", "the store's clock and the wall clock agree".to_owned());
        }
        Finding {
            level: FindingLevel::Warning,
            subject: "clock".to_owned(),
            message: format!("the wall clock is {} s from the store's clock", drift / 1000),
            help: Some("budgets stay exact; the times in the journal follow at the next boot of the machine".to_owned()),
        }
    }

    async fn plans(&self) -> Result<Finding, Failure> {
        let policy = self.policy();
        if policy.apis().is_empty() && self.server.get().is_none() {
            return Ok(Finding {
                level: FindingLevel::Warning,
                subject: "plans".to_owned(),
                message: "no configuration file was read, so plans and APIs were not looked at"
                    .to_owned(),
                help: Some("name the configuration file".to_owned()),
            });
        }
        let missing: Vec<String> = self
            .store
            .plans_in_use()
            .await?
            .into_iter()
            .filter(|plan| policy.plan(plan).is_none())
            .collect();
        if missing.is_empty() {
            return Ok(good("plans", "every key's plan is in the policy".to_owned()));
        }
        Ok(Finding {
            level: FindingLevel::Warning,
            subject: "plans".to_owned(),
            message: format!(
                "keys are on plans that the policy does not have: {}",
                missing.join(", ")
            ),
            help: Some(
                "add the plans to the configuration, or give the keys' applications new keys"
                    .to_owned(),
            ),
        })
    }

    /// When the last backup was made, where one is on record.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn last_backup(&self) -> Result<Option<Timestamp>, Failure> {
        let kind = keystile_store::audit::EventKind::BackupMade.name().to_owned();
        let filter = EventFilter { kind: Some(kind), limit: 1, ..EventFilter::default() };
        Ok(self.events(filter).await?.first().map(|event| event.time))
    }

    /// How long records are kept; for ever where `None`.
    pub fn retention(&self) -> Option<Span> {
        self.settings.load().retention
    }
}

fn good(subject: &str, message: String) -> Finding {
    Finding { level: FindingLevel::Good, subject: subject.to_owned(), message, help: None }
}

fn store_bytes(database: &std::path::Path) -> u64 {
    let size =
        |path: &std::path::Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    size(database) + size(&database.with_extension("db-wal"))
}
