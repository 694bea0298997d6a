//! What is wrong with the server, and with what it depends on.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::checks::UnreachableUpstream;
use crate::command::{Authorized, Command, Failure, FailureKind, Running};
use crate::engine::Engine;
pub use crate::finding::{Finding, FindingLevel};

/// Looks for faults in all that can be looked at in a moment: everything but the whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListFindings;

/// Looks for faults, through the whole file of the store, and tries to reach upstreams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Diagnose;

/// Looks whether channels can send, and whether their last messages arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListChannelFindings;

/// Looks how the systems stand that issue keys beside this one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListSourceFindings;

impl Command for ListSourceFindings {
    type Answer = Vec<Finding>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<Finding>> {
        Box::pin(engine.source_findings())
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

impl Command for ListChannelFindings {
    type Answer = Vec<Finding>;
    const SCOPE: Scope = Scope::Read;

    fn run<'a>(self, engine: &'a Arc<Engine>, _: &'a Authorized) -> Running<'a, Vec<Finding>> {
        Box::pin(engine.channel_findings())
    }
}

impl Engine {
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
        findings.extend(self.source_findings().await?);
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

    async fn channel_findings(self: &Arc<Self>) -> Result<Vec<Finding>, Failure> {
        let mut found = self.off_the_runtime(Self::channel_faults).await?;
        let watching = self.store.watching();
        let names = watching.channels().iter().map(|channel| channel.name.clone());
        for (channel, failed) in self.store.failed_since_sent(names.collect()).await? {
            let messages = match failed {
                0 => continue,
                1 => "the last message".to_owned(),
                more => format!("the last {more} messages"),
            };
            found.push(Finding {
                level: FindingLevel::Warning,
                subject: "channels".to_owned(),
                message: format!("{messages} on the channel {channel} did not arrive"),
                help: Some("look at its deliveries, and send it a test message".to_owned()),
            });
        }
        Ok(found)
    }

    /// Channels that cannot send as they are set up. Blocks: it reads secrets.
    fn channel_faults(&self) -> Vec<Finding> {
        let Some(checks) = self.checks.get() else {
            return Vec::new();
        };
        let watching = self.store.watching();
        let faults = watching.channels().iter().filter_map(|channel| {
            Some(Finding {
                level: FindingLevel::Problem,
                subject: "channels".to_owned(),
                message: format!(
                    "the channel {} cannot send: {}",
                    channel.name,
                    (checks.channel)(channel)?
                ),
                help: Some("mend it, and send it a test message".to_owned()),
            })
        });
        let mut found: Vec<Finding> = faults.collect();
        if found.is_empty() && !watching.channels().is_empty() {
            found.push(Finding {
                level: FindingLevel::Good,
                subject: "channels".to_owned(),
                message: "every channel has what it needs to send".to_owned(),
                help: None,
            });
        }
        found
    }

    /// Upstreams that cannot be reached now. Blocks.
    pub(crate) fn upstream_findings(&self) -> Vec<Finding> {
        let Some(checks) = self.checks.get() else {
            return Vec::new();
        };
        let finding = |upstream: UnreachableUpstream| Finding {
            level: FindingLevel::Warning,
            subject: "upstreams".to_owned(),
            message: format!(
                "{} of {} cannot be reached: {}",
                upstream.origin, upstream.api, upstream.fault
            ),
            help: Some(
                "start the API, or correct `upstream`; calls are answered with 502".to_owned(),
            ),
        };
        (checks.upstreams)(&self.policy()).into_iter().map(finding).collect()
    }
}

fn good(subject: &str, message: String) -> Finding {
    Finding { level: FindingLevel::Good, subject: subject.to_owned(), message, help: None }
}
