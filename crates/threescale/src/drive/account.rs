//! A service of a tenant of 3scale's, as a key source.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use keystile_core::keys::imported::ImportedText;
use keystile_core::owners::principal::Principal;
use keystile_core::time::Timestamp;
use keystile_engine::command::{Done, Failure, FailureKind, Running};
use keystile_engine::findings::Finding;
use keystile_engine::keys::difference::Side;
use keystile_engine::keys::hint::HINT_PATH;
use keystile_engine::keys::look_up::answer::FoundThere;
use keystile_engine::keys::look_up::look_ups::LookUps;
use keystile_engine::keys::source::{HintView, KeySourceView, SyncReport, SyncWanted};
use keystile_engine::{Engine, KeySource};
use keystile_store::audit::EventKind;
use keystile_store::doors::documents::DocumentEvent;
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use crate::drive::hint::Hints;
use crate::drive::link::{Documents, Link, SyncNote};
use crate::drive::settings::DriveSettings;
use crate::drive::usage::reports::UsageReports;
use crate::drive::webhook::hint_of;
use crate::drive::webhook_secret::{place, webhook_secret};
use crate::portal::PortalClient;
use crate::portal::error::{PortalError, Retry};
use crate::portal::records::{ApplicationId, Authentication};
use crate::portal::settings::SettingsError;

/// The links of an account, by the numbers of the applications there.
pub(super) type Links = BTreeMap<ApplicationId, Link>;

/// A service whose keys and plans 3scale is in charge of.
#[derive(Debug)]
pub struct DrivenAccount {
    pub(super) name: String,
    pub(super) settings: DriveSettings,
    pub(super) client: PortalClient,
    pub(super) documents: Documents,
    /// As they are kept; nothing before they are first needed.
    links: Arc<Mutex<Option<Links>>>,
    /// How often an application came over or went.
    links_changed: Arc<AtomicU64>,
    /// What is reported of usage, where it is.
    pub(super) usage: Option<Arc<UsageReports>>,
    /// Held by who synchronizes.
    pub(super) synchronizing: Arc<Mutex<()>>,
    /// When the portal is read next, in milliseconds; `i64::MAX` where nobody has said.
    next: Arc<AtomicI64>,
    /// Held by who holds the locks here against what is asked there.
    pub(super) following: Arc<Mutex<()>>,
    /// Held by who looks at the state of an application there and acts on it.
    pub(super) changing: Arc<Mutex<()>>,
    /// Held by who brings an application or its keys over: applications that look-ups changed since the list was
    /// begun to be read. What the list says of them may be older than they are.
    pub(super) looked_up: Arc<Mutex<BTreeSet<ApplicationId>>>,
    /// How the service's applications authenticate, as it was last read.
    pub(super) authentication: Mutex<Option<Authentication>>,
    look_ups: LookUps,
    pub(super) hints: Arc<Hints>,
}

impl DrivenAccount {
    /// An account, of which nothing was read yet. Fails when the certificates to trust cannot be used.
    pub fn new(settings: DriveSettings) -> Result<Self, SettingsError> {
        let usage = settings.usage.as_ref().map(|usage| {
            UsageReports::new(&settings.name, usage, &settings.portal, settings.service)
        });
        Ok(Self {
            name: format!("3scale {}", settings.name),
            client: PortalClient::new(settings.portal.clone())?,
            documents: Documents::of(&settings.name),
            look_ups: LookUps::new(settings.look_ups),
            settings,
            links: Arc::default(),
            links_changed: Arc::default(),
            usage: usage.transpose()?.map(Arc::new),
            synchronizing: Arc::default(),
            next: Arc::new(AtomicI64::new(i64::MAX)),
            following: Arc::default(),
            changing: Arc::default(),
            looked_up: Arc::default(),
            authentication: Mutex::default(),
            hints: Arc::default(),
        })
    }

    /// The same account with other settings. What is known of its applications is in one place for both, and
    /// what one of them is at, the other waits for. Fails when the certificates to trust cannot be used.
    ///
    /// What is reported of usage goes on as it began: a call that is counted once must not be counted by two.
    pub fn with(&self, settings: DriveSettings) -> Result<Self, SettingsError> {
        let unreported = DriveSettings { usage: None, ..settings.clone() };
        Ok(Self {
            settings: DriveSettings { usage: self.settings.usage.clone(), ..settings },
            links: self.links.clone(),
            links_changed: self.links_changed.clone(),
            usage: self.usage.clone(),
            synchronizing: self.synchronizing.clone(),
            next: self.next.clone(),
            following: self.following.clone(),
            changing: self.changing.clone(),
            looked_up: self.looked_up.clone(),
            hints: self.hints.clone(),
            ..Self::new(unreported)?
        })
    }

    /// What it was made of.
    pub fn settings(&self) -> &DriveSettings {
        &self.settings
    }

    /// How 3scale's webhooks come here, where they do.
    pub(super) fn hint_view(&self, engine: &Engine) -> Option<HintView> {
        let source = self.settings.webhook_secret.as_ref()?;
        Some(HintView {
            address: format!("{}{HINT_PATH}", engine.console_url()),
            secret: place(source),
            problem: webhook_secret(source).err().map(|fault| fault.to_string()),
            last: self.hints.last(),
        })
    }

    /// Who carries out what 3scale asks for.
    pub(super) fn principal(&self) -> Principal {
        Principal::KeySource { name: self.name.clone() }
    }

    /// The links. No other link changes while this is held. Fails when they cannot be read.
    pub(super) async fn links(
        &self,
        engine: &Engine,
    ) -> Result<MappedMutexGuard<'_, Links>, Failure> {
        let links = self.links_read(engine).await?;
        Ok(MutexGuard::map(links, |links| links.get_or_insert_default()))
    }

    /// The links where they are kept, with all that the store has.
    async fn links_read(&self, engine: &Engine) -> Result<MutexGuard<'_, Option<Links>>, Failure> {
        let mut links = self.links.lock().await;
        if links.is_none() {
            *links = Some(self.documents.links(engine).await?.into_iter().collect());
        }
        Ok(links)
    }

    /// A link as it is now.
    pub(super) async fn link(
        &self,
        engine: &Engine,
        id: ApplicationId,
    ) -> Result<Option<Link>, Failure> {
        Ok(self.links(engine).await?.get(&id).cloned())
    }

    /// Keeps a link that is new.
    pub(super) async fn add_link(
        &self,
        engine: &Engine,
        id: ApplicationId,
        link: Link,
    ) -> Result<(), Failure> {
        let (mut kept, mut links) = self.take_links(engine).await?;
        self.documents.put_link(engine, (id, &link), None).await?;
        links.insert(id, link);
        self.links_changed.fetch_add(1, Ordering::Relaxed);
        *kept = Some(links);
        Ok(())
    }

    /// How often an application came over or went since the start.
    pub(super) fn links_changed(&self) -> u64 {
        self.links_changed.load(Ordering::Relaxed)
    }

    /// The links, to change one in the store and then here. Nothing is in memory until they are put back: where
    /// that does not come, because the store failed or nobody waits any more, the store is read anew.
    async fn take_links(
        &self,
        engine: &Engine,
    ) -> Result<(MutexGuard<'_, Option<Links>>, Links), Failure> {
        let mut kept = self.links_read(engine).await?;
        let links = kept.take().unwrap_or_default();
        Ok((kept, links))
    }

    /// Changes a link as it is now, and records an event with it. One that is gone stays so.
    pub(super) async fn change_link(
        &self,
        engine: &Engine,
        id: ApplicationId,
        event: Option<DocumentEvent>,
        change: impl FnOnce(&mut Link),
    ) -> Result<(), Failure> {
        let (mut kept, mut links) = self.take_links(engine).await?;
        if let Some(link) = links.get_mut(&id) {
            change(link);
            self.documents.put_link(engine, (id, link), event).await?;
        }
        *kept = Some(links);
        Ok(())
    }

    /// Forgets a link.
    pub(super) async fn remove_link(
        &self,
        engine: &Engine,
        id: ApplicationId,
    ) -> Result<(), Failure> {
        let (mut kept, mut links) = self.take_links(engine).await?;
        self.documents.delete_link(engine, id).await?;
        links.remove(&id);
        self.links_changed.fetch_add(1, Ordering::Relaxed);
        *kept = Some(links);
        Ok(())
    }

    /// Notes when the portal is read next.
    pub(super) fn set_next(&self, next: Timestamp) {
        self.next.store(next.0, Ordering::Relaxed);
    }

    /// Until when its keys work here: for ever while it is read, and for a while after it was read for the last
    /// time. That owners have to confirm deletions is no reason to stop all others.
    pub(super) fn keys_work_until(&self, note: &SyncNote) -> Option<Timestamp> {
        if note.problem.is_none() || note.awaits_confirmation {
            return None;
        }
        note.synchronized.or(note.failing_since).map(|last| last.plus(self.settings.keep_known))
    }

    /// Has the gate refuse its keys from then on.
    pub(super) fn limit_keys(&self, engine: &Engine, note: &SyncNote) {
        let origin = engine.store().keys().origin(&self.name);
        origin.set_works_until(self.keys_work_until(note));
    }

    /// Lets its keys work however long it is not read, because it is no source any more.
    pub fn let_go_of_keys(&self, engine: &Engine) {
        engine.store().keys().origin(&self.name).set_works_until(None);
    }

    /// An event about this source.
    pub(super) fn event(&self, kind: EventKind, detail: String) -> DocumentEvent {
        let subject = Some(self.name.clone());
        DocumentEvent { kind, subject, actor: self.principal().actor(), detail }
    }
}

impl KeySource for DrivenAccount {
    fn name(&self) -> &str {
        &self.name
    }

    fn synchronize<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        wanted: SyncWanted,
    ) -> Running<'a, SyncReport> {
        Box::pin(self.read_and_follow(engine, wanted))
    }

    fn look_ups(&self) -> &LookUps {
        &self.look_ups
    }

    fn look_up<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        key: &'a ImportedText,
    ) -> Running<'a, FoundThere> {
        Box::pin(self.look_up_there(engine, key))
    }

    fn check<'a>(&'a self, engine: &'a Arc<Engine>) -> Running<'a, Vec<Finding>> {
        Box::pin(async move { Ok(self.findings(engine).await) })
    }

    fn lock_there<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        key: &'a str,
    ) -> Running<'a, Option<String>> {
        Box::pin(async move {
            let links = self.links(engine).await?;
            let is_ours = links.values().any(|link| link.keys.iter().any(|id| id == key));
            Ok(self.settings.on_lock.promise(&self.name).filter(|_| is_ours))
        })
    }

    fn take_side<'a>(
        &'a self,
        engine: &'a Arc<Engine>,
        by: &'a Principal,
        taken: (&'a str, Side),
    ) -> Running<'a, Done> {
        Box::pin(self.take_side_of(engine, by, taken))
    }

    fn show<'a>(&'a self, engine: &'a Arc<Engine>) -> Running<'a, KeySourceView> {
        Box::pin(async move {
            let note = self.documents.note(engine).await?;
            let usage = match &self.usage {
                Some(usage) => Some(usage.standing(engine).await?),
                None => None,
            };
            let (differences, more_differences) = self.differences(engine).await?;
            let next = self.next.load(Ordering::Relaxed);
            let links = self.links(engine).await?;
            Ok(KeySourceView {
                source: self.name.clone(),
                place: self.settings.portal.address.to_string(),
                applications: u64::try_from(links.len()).unwrap_or(u64::MAX),
                synchronized: note.synchronized,
                next: (next != i64::MAX).then_some(Timestamp(next)),
                keys_work_until: self.keys_work_until(&note),
                problem: note.problem,
                failing_since: note.failing_since,
                awaits_confirmation: note.awaits_confirmation,
                differences,
                more_differences,
                locks: links.values().filter_map(Link::followed_lock).collect(),
                usage,
                hints: self.hint_view(engine),
            })
        })
    }

    fn hint_secret(&self) -> Option<String> {
        webhook_secret(self.settings.webhook_secret.as_ref()?).ok()
    }

    fn take_hint(&self, engine: &Engine, body: &[u8]) {
        self.hints.add(hint_of(body), engine.store().now());
    }

    fn finish<'a>(&'a self, engine: &'a Arc<Engine>) -> Running<'a, ()> {
        Box::pin(self.finish_usage(engine))
    }
}

/// Why the portal's answer, or the lack of one, ends what was asked for.
pub(super) fn failure(error: &PortalError) -> Failure {
    let kind = match error.retry_after() {
        Retry::Never => FailureKind::Invalid,
        Retry::Later | Retry::After(_) => FailureKind::Unavailable,
    };
    Failure { kind, message: words(error), help: None }
}

/// An error with what lies below it.
pub(super) fn words(error: &PortalError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
