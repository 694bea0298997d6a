//! What a synchronization says that it did.

use keystile_engine::keys::source::{SyncMode, SyncReport};

/// More sentences than anybody reads.
const SENTENCES_MAX: usize = 1_000;

/// A report that is being written.
#[derive(Debug)]
pub(super) struct Report(SyncReport);

impl Report {
    pub(super) fn new(source: &str, mode: SyncMode) -> Self {
        Self(SyncReport {
            source: source.to_owned(),
            mode,
            applications: 0,
            unchanged: 0,
            changed: 0,
            left: 0,
            changes: Vec::new(),
            problems: Vec::new(),
        })
    }

    pub(super) fn mode(&self) -> SyncMode {
        self.0.mode
    }

    pub(super) fn applications(&mut self, count: usize) {
        self.0.applications = u64::try_from(count).unwrap_or(u64::MAX);
    }

    pub(super) fn unchanged(&mut self) {
        self.0.unchanged = self.0.unchanged.saturating_add(1);
    }

    pub(super) fn change(&mut self, sentence: String) {
        self.0.changed = self.0.changed.saturating_add(1);
        if self.0.changes.len() < SENTENCES_MAX {
            self.0.changes.push(sentence);
        }
    }

    pub(super) fn problem(&mut self, sentence: String) {
        self.0.left = self.0.left.saturating_add(1);
        if self.0.problems.len() < SENTENCES_MAX {
            self.0.problems.push(sentence);
        }
    }

    /// How many sentences there are about what could not be done.
    pub(super) fn problem_count(&self) -> usize {
        self.0.problems.len()
    }

    /// Those of them that came after so many others.
    pub(super) fn problems_after(&self, count: usize) -> &[String] {
        self.0.problems.get(count..).unwrap_or_default()
    }

    pub(super) fn finish(self) -> SyncReport {
        self.0
    }
}
