//! How the server is, and what is wrong with it.

use std::sync::Arc;

use keystile_core::policy::api::{Api, Mode};
use keystile_core::time::{Span, Timestamp};
use keystile_store::sqlite::journal;
use keystile_store::sqlite::keys::key;

use crate::Engine;
use crate::command::{ApiView, EventFilter, Failure, Finding, FindingLevel, KeyCounts, StatusView};
use crate::legacy::Answer;

impl Engine {
    pub(crate) fn status(&self) -> Result<Answer, Failure> {
        let now = self.store.now();
        let policy = self.policy();
        let server = self.server.get();
        let (records, keys) =
            self.store.read(|read| Ok((journal::count(read)?, key::count_states(read, now)?)))?;
        let writes_today = self.last_day(now)?.iter().map(|hour| hour.writes).sum();
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
        Ok(Answer::Status(Box::new(StatusView {
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
            records,
            writes_today,
            store_bytes: store_bytes(&self.store.directory().database()),
            store: self.store.fault().unwrap_or_else(|| "ok".to_owned()),
        })))
    }

    /// What is known of the policy. A command that works on the store itself has put none in force.
    fn policy_words(&self) -> String {
        match (self.server.get(), self.policy().apis()) {
            (Some(_), _) => self.policy_note.load().to_string(),
            (None, []) => "none: no configuration file was read".to_owned(),
            (None, _) => "as the configuration file says now; no server runs by it".to_owned(),
        }
    }

    pub(crate) fn diagnose(&self) -> Result<Answer, Failure> {
        let mut findings = self.quick_findings()?;
        findings.extend(self.upstream_findings());
        let sound = self.store.read(keystile_store::check)?;
        findings.push(match sound {
            None => good("database", "the file is sound".to_owned()),
            Some(fault) => Finding {
                level: FindingLevel::Problem,
                subject: "database".to_owned(),
                message: fault,
                help: Some("stop Keystile, keep a copy, and restore the latest backup".to_owned()),
            },
        });
        Ok(Answer::Diagnosis(findings))
    }

    /// What can be looked at in a moment: everything but the whole file. Blocks.
    pub fn quick_findings(&self) -> Result<Vec<Finding>, Failure> {
        let mut findings = vec![self.commits(), self.log(), self.pepper(), self.clock()];
        findings.extend([self.exposure(), self.plans()?]);
        findings.extend(self.channel_findings());
        Ok(findings)
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

    fn plans(&self) -> Result<Finding, Failure> {
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
            .read(key::plans_in_use)?
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

    /// When the last backup was made, where one is on record. Blocks.
    pub fn last_backup(&self) -> Result<Option<Timestamp>, Failure> {
        let kind = keystile_store::sqlite::audit::event::EventKind::BackupMade.name().to_owned();
        let filter = EventFilter { kind: Some(kind), limit: 1, ..EventFilter::default() };
        Ok(self.events(&filter)?.first().map(|event| event.time))
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
