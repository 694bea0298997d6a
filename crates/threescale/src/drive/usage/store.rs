//! The one place through which what is kept of usage changes.
//!
//! Reads are counted in memory until they are kept, so this also knows those that were taken from memory and of
//! which it is not certain that they were committed. Every commit leaves its own mark. What is read again after a
//! commit whose answer is not known says by it which commit was the last to come through.

use keystile_engine::Engine;
use keystile_engine::command::Failure;
use keystile_store::doors::documents::DocumentEvent;
use keystile_store::sent::reads::ReadCounts;
use keystile_store::sent::writes::JournalPosition;

use super::kept::{Collections, Draft, Kept};
use super::record::CommitId;
use crate::portal::records::ApplicationId;

/// Reads that were taken from memory.
pub(super) type TakenReads = Vec<(ApplicationId, ReadCounts)>;

/// What is kept, and the reads of which that is not certain.
#[derive(Debug)]
pub(super) struct UsageStore {
    collections: Collections,
    /// Nothing where it has to be read.
    kept: Option<Kept>,
    serial: u64,
    doubt: Option<Doubt>,
}

/// Reads that a commit had whose answer is not known.
#[derive(Debug)]
struct Doubt {
    reads: TakenReads,
    /// All commits that had them.
    commits: Vec<CommitId>,
}

impl UsageStore {
    pub(super) fn new(collections: Collections) -> Self {
        Self { collections, kept: None, serial: 0, doubt: None }
    }

    /// What is kept, read where it has to be. Fails when the store cannot be read.
    pub(super) async fn kept(&mut self, engine: &Engine) -> Result<&Kept, Failure> {
        if self.kept.is_none() {
            let kept = Kept::read(engine, &self.collections).await?;
            self.doubt.take_if(|doubt| doubt.commits.contains(&kept.state.commit));
            self.serial = self.serial.max(kept.state.serial);
            self.kept = Some(kept);
        }
        Ok(self.kept.as_ref().expect("it was read just now"))
    }

    /// Remembers how far writes were counted where none was found. The next commit keeps it.
    pub(super) fn pass_over(&mut self, position: JournalPosition) {
        if let Some(kept) = &mut self.kept {
            kept.state.position = Some(position);
        }
    }

    /// Commits a draft of what is kept. Fails when that is not known to be done; what is kept is read again then.
    pub(super) async fn commit(
        &mut self,
        engine: &Engine,
        draft: Draft,
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        self.commit_as(CommitId::random(), engine, draft, event).await
    }

    async fn commit_as(
        &mut self,
        id: CommitId,
        engine: &Engine,
        mut draft: Draft,
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        self.serial = self.serial.saturating_add(1);
        (draft.state.serial, draft.state.commit) = (self.serial, id);
        let kept = self.kept.as_mut().expect("a draft is of what was read");
        let committed = kept.commit(engine, &self.collections, draft, event).await;
        if committed.is_err() {
            self.kept = None;
        }
        committed
    }

    /// Reads that may not be kept. No others are taken before they are.
    pub(super) fn reads_in_doubt(&self) -> Option<TakenReads> {
        self.doubt.as_ref().map(|doubt| doubt.reads.clone())
    }

    /// Commits a draft that holds reads, as [`UsageStore::commit`] does. They are in doubt until that is known.
    pub(super) async fn commit_reads(
        &mut self,
        engine: &Engine,
        draft: Draft,
        reads: TakenReads,
    ) -> Result<(), Failure> {
        let id = CommitId::random();
        self.doubt.get_or_insert(Doubt { reads, commits: Vec::new() }).commits.push(id);
        self.commit_as(id, engine, draft, None).await?;
        self.doubt = None;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::tz::TimeZone;
    use keystile_core::keys::text::KeyPrefix;
    use keystile_core::policy::Policy;
    use keystile_core::time::Timestamp;
    use keystile_engine::EngineSettings;
    use keystile_store::Store;
    use keystile_store::files::DataDirectory;

    use super::*;
    use crate::drive::usage::record::{Hour, Slot, sum};

    fn engine(folder: &tempfile::TempDir) -> Arc<Engine> {
        let (store, _) = Store::open(DataDirectory::hold(folder.path()).unwrap()).unwrap();
        let settings = EngineSettings {
            key_prefix: KeyPrefix::default(),
            retention: None,
            key_failures: "300 per minute".parse().unwrap(),
            console_url: "https://console.example.org".to_owned(),
            gate: Vec::new(),
            watching: Arc::default(),
        };
        let policy = Policy::new(Vec::new(), Vec::new(), TimeZone::UTC);
        Arc::new(Engine::new(store, policy, settings))
    }

    fn usage_store() -> UsageStore {
        UsageStore::new(Collections::of("main"))
    }

    fn one_read() -> TakenReads {
        vec![(ApplicationId::new(1), [1, 0, 0, 0, 0, 0, 0, 0, 0])]
    }

    /// Keeps reads, as whoever collects them does.
    async fn keep(
        usage_store: &mut UsageStore,
        engine: &Engine,
        reads: TakenReads,
    ) -> Result<(), Failure> {
        let now = Timestamp(1_000);
        let kept = usage_store.kept(engine).await?;
        let mut draft = kept.draft();
        for (there, counts) in &reads {
            let slot = draft.slot(kept, (Hour::of(now), *there), Slot::at(now));
            slot.add("hits", counts.iter().sum(), (now, now));
        }
        usage_store.commit_reads(engine, draft, reads).await
    }

    async fn counted(usage_store: &mut UsageStore, engine: &Engine) -> u64 {
        let kept = usage_store.kept(engine).await.unwrap();
        kept.slots.values().map(|slot| sum(&slot.calls)).sum()
    }

    #[tokio::test]
    async fn reads_of_a_commit_whose_answer_was_lost_count_once_whether_it_was_made_or_not() {
        for was_made in [true, false] {
            let folder = tempfile::tempdir().unwrap();
            let engine = engine(&folder);
            let mut usage_store = usage_store();
            keep(&mut usage_store, &engine, one_read()).await.unwrap();
            let mut commit = CommitId::random();
            if was_made {
                keep(&mut usage_store, &engine, one_read()).await.unwrap();
                commit = usage_store.kept(&engine).await.unwrap().state.commit;
            }
            // The answer was lost.
            usage_store.doubt = Some(Doubt { reads: one_read(), commits: vec![commit] });
            usage_store.kept = None;
            usage_store.kept(&engine).await.unwrap();
            assert_eq!(usage_store.reads_in_doubt().is_none(), was_made);
            if let Some(reads) = usage_store.reads_in_doubt() {
                keep(&mut usage_store, &engine, reads).await.unwrap();
            }
            assert_eq!(usage_store.reads_in_doubt(), None);
            assert_eq!(counted(&mut usage_store, &engine).await, 2, "{was_made}");
            engine.store().close();
        }
    }

    #[tokio::test]
    async fn a_commit_on_a_state_that_changed_meanwhile_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine(&folder);
        let (mut first, mut second) = (usage_store(), usage_store());
        keep(&mut first, &engine, one_read()).await.unwrap();
        second.kept(&engine).await.unwrap();
        keep(&mut first, &engine, one_read()).await.unwrap();
        keep(&mut second, &engine, one_read()).await.unwrap_err();
        assert_eq!(counted(&mut second, &engine).await, 2);
        let reads = second.reads_in_doubt().unwrap();
        keep(&mut second, &engine, reads).await.unwrap();
        assert_eq!(counted(&mut second, &engine).await, 3);
        engine.store().close();
    }
}
