//! What a page says once about the act before it. Kept in memory for the session that acted, so that no
//! link can put words into the console.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Nobody waits longer for the page after an act.
const KEPT: Duration = Duration::from_mins(5);
/// More sessions than this do not act within that time.
const KEPT_MAX: usize = 1_000;

/// What was done, and how to take it back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flash {
    pub(crate) tone: Tone,
    pub(crate) text: String,
    /// What to do about it, where it failed.
    pub(crate) help: Option<String>,
    pub(crate) undo: Option<Undo>,
    /// Texts that are shown only now: keys, tokens, recovery codes.
    pub(crate) secrets: Vec<Secret>,
    /// What was typed into a form that failed, for its next try.
    pub(crate) typed: Option<Typed>,
}

/// What somebody typed into a form, never a secret.
#[derive(Clone, Debug)]
pub(crate) struct Typed {
    pub(crate) form: &'static str,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// How it went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Done,
    Failed,
}

/// A way back.
#[derive(Clone, Debug)]
pub(crate) struct Undo {
    pub(crate) label: &'static str,
    pub(crate) action: String,
    pub(crate) fields: Vec<(&'static str, String)>,
}

/// A text that is shown only once.
#[derive(Clone)]
pub(crate) struct Secret {
    pub(crate) label: String,
    pub(crate) text: String,
    /// A line that works when pasted into a terminal.
    pub(crate) example: Option<String>,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Flash {
    pub(crate) fn done(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    pub(crate) fn failed(failure: &keystile_engine::command::Failure) -> Self {
        Self {
            tone: Tone::Failed,
            text: failure.message.clone(),
            help: failure.help.clone(),
            ..Self::default()
        }
    }

    pub(crate) fn is_failed(&self) -> bool {
        self.tone == Tone::Failed
    }
}

/// The flashes that wait for their page, by session.
#[derive(Debug, Default)]
pub(crate) struct Flashes(Mutex<HashMap<String, (Instant, Flash)>>);

impl Flashes {
    pub(crate) fn put(&self, session: &str, flash: Flash) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if kept.len() >= KEPT_MAX {
            kept.retain(|_, (since, _)| now.duration_since(*since) < KEPT);
        }
        if kept.len() < KEPT_MAX {
            kept.insert(session.to_owned(), (now, flash));
        }
    }

    pub(crate) fn take(&self, session: &str) -> Option<Flash> {
        let taken = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(session);
        let (since, flash) = taken?;
        (since.elapsed() < KEPT).then_some(flash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flash_is_shown_once_and_only_to_its_session() {
        let flashes = Flashes::default();
        flashes.put("a", Flash::done("Locked."));
        assert!(flashes.take("b").is_none());
        assert_eq!(flashes.take("a").unwrap().text, "Locked.");
        assert!(flashes.take("a").is_none());
        flashes.put("a", Flash::done("Locked."));
        tokio::time::advance(KEPT).await;
        assert!(flashes.take("a").is_none(), "too late");
    }
}
