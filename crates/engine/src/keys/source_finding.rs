//! How key sources stand, for who looks whether all is well.

use std::sync::Arc;

use keystile_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::command::Failure;
use crate::engine::Engine;
use crate::finding::{Finding, FindingLevel};
use crate::keys::source::{FollowedLock, KeySourceView};

/// A key source as the status shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(utoipa::ToSchema))]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// When it was last read to the end.
    pub synchronized: Option<Timestamp>,
    /// Why the last attempt to read it came to nothing, where it did.
    pub problem: Option<String>,
    /// How many differences wait for somebody to decide them.
    pub differences: u64,
}

impl From<KeySourceView> for SourceStatus {
    fn from(view: KeySourceView) -> Self {
        let differences = view.difference_count();
        let KeySourceView { source, synchronized, problem, .. } = view;
        Self { name: source, synchronized, problem, differences }
    }
}

impl Engine {
    /// How all key sources stand. Fails when the store cannot be read.
    pub(crate) async fn sources_shown(self: &Arc<Self>) -> Result<Vec<KeySourceView>, Failure> {
        let mut views = Vec::new();
        for source in self.key_sources().iter() {
            views.push(source.show(self).await?);
        }
        Ok(views)
    }

    /// What is to be said of each source.
    pub(crate) async fn source_findings(self: &Arc<Self>) -> Result<Vec<Finding>, Failure> {
        Ok(self.sources_shown().await?.iter().flat_map(findings).collect())
    }
}

fn findings(view: &KeySourceView) -> Vec<Finding> {
    let finding = |level, message, help: Option<&str>| Finding {
        level,
        subject: view.source.clone(),
        message,
        help: help.map(str::to_owned),
    };
    let mut found = vec![match (&view.problem, view.synchronized) {
        (Some(problem), _) => {
            let since = view
                .failing_since
                .map_or_else(String::new, |since| format!(" since {}", since.readable()));
            let help = "mend what it says; it is read again by itself";
            let until = view.keys_work_until.map_or_else(String::new, |until| {
                format!("; its keys work here until {}", until.readable())
            });
            let message = format!("it was not read to the end{since}: {problem}{until}");
            finding(FindingLevel::Problem, message, Some(help))
        }
        (None, None) => {
            let help = "start a server, which reads it, or synchronize it";
            finding(FindingLevel::Warning, "it was not read yet".to_owned(), Some(help))
        }
        (None, Some(time)) => {
            finding(FindingLevel::Good, format!("it was read at {}", time.readable()), None)
        }
    }];
    let is_failing = |lock: &&FollowedLock| lock.attempts > 0 && lock.next.is_some();
    let mut failing = view.locks.iter().filter(is_failing);
    if let Some(FollowedLock { application, state, .. }) = failing.next() {
        let more = match failing.count() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let message = format!("a lock is not followed there: {application}: {state}{more}");
        let help = "mend what it says; it is tried again by itself";
        found.push(finding(FindingLevel::Problem, message, Some(help)));
    }
    if let Some(problem) = view.usage.as_ref().and_then(|usage| usage.problem.as_ref()) {
        let message = format!("the last report of usage was not taken: {problem}");
        let help = "mend what it says; what waits is reported by itself";
        found.push(finding(FindingLevel::Problem, message, Some(help)));
    }
    let count = view.difference_count();
    if count > 0 {
        let message = match count {
            1 => "one difference waits for somebody to decide it".to_owned(),
            _ => format!("{count} differences wait for somebody to decide them"),
        };
        let help = "look at the differences of the key sources, and take a side";
        found.push(finding(FindingLevel::Warning, message, Some(help)));
    }
    found
}
