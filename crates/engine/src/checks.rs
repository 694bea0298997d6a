//! What is looked at outside of the store: whether channels can send, and whether upstreams can be reached.
//!
//! The program says how, because protocols and secrets are its affair.

use std::sync::Arc;

use keystile_core::notifications::channel::ChannelRule;
use keystile_core::policy::Policy;

use crate::Engine;
use crate::command::Failure;
use crate::status::{Finding, FindingLevel};

/// How it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Checks {
    /// Why a channel cannot send as it is set up. Reads its secrets; sends and connects to nothing.
    pub channel: fn(&ChannelRule) -> Option<String>,
    /// Where no upstream answers. Blocks, for some seconds at most.
    pub upstreams: fn(&Policy) -> Vec<UnreachableUpstream>,
}

/// An upstream to which no connection could be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreachableUpstream {
    /// The API.
    pub api: String,
    /// The origin.
    pub origin: String,
    /// Why.
    pub fault: String,
}

impl Engine {
    /// Channels that cannot send, and why, and those whose last messages did not arrive. Fails when the
    /// store cannot be read.
    pub async fn channel_findings(self: &Arc<Self>) -> Result<Vec<Finding>, Failure> {
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
                message: format!("{channel}: {messages} did not arrive"),
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
                message: format!("{} cannot send: {}", channel.name, (checks.channel)(channel)?),
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
