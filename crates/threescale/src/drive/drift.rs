//! Finding what differs between 3scale and what is here, and keeping it.
//!
//! A synchronization notes what it saw of each application. Once it has followed that, the notes are held against
//! what is here, and those where something is left to decide are kept. Whoever looks later asks nobody there: the
//! notes are held against what is here at that moment, so that what was settled since does not show.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::KeyState;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::keys::application::{
    ApplicationDetails, ApplicationView, ListApplications, ShowApplicationWithKeys,
};
use keystile_engine::keys::difference::Difference;
use keystile_engine::keys::key::{KeyFilter, KeyView, ListKeys};
use keystile_store::doors::documents::DocumentEvent;
use serde::{Deserialize, Serialize};

use crate::drive::account::DrivenAccount;
use crate::drive::difference::{Found, Here, PlanMap, Seen, SeenState, differences, gone};
use crate::drive::link::{Link, Suspension};
use crate::drive::name::names;
use crate::drive::step::known_key;
use crate::portal::records::{Application, ApplicationId, Credential};

/// Applications whose differences are kept; of more there is only the number.
const KEPT_MAX: usize = 100;
/// Reasons why parts of one application could not come over.
const REASONS_MAX: usize = 5;
/// Longer names of plans and longer reasons are cut.
const TEXT_CHARS_MAX: usize = 500;

/// Where it is kept.
const KEPT: &str = "differences";

/// What is kept of what a synchronization saw.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    seen: Vec<Seen>,
    #[serde(default)]
    gone: Vec<Gone>,
    /// How many more there were.
    #[serde(default)]
    more: u64,
}

/// An application here with keys that came from the source, which no application there has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Gone {
    /// Its name.
    application: String,
}

impl Kept {
    /// What was kept of an application.
    pub(super) fn seen(&self, id: ApplicationId) -> Option<&Seen> {
        self.seen.iter().find(|seen| seen.number == id.get())
    }

    /// Forgets an application.
    pub(super) fn forget(&mut self, id: ApplicationId) {
        self.seen.retain(|seen| seen.number != id.get());
    }

    /// Puts what was seen just now in the place of what was seen before.
    pub(super) fn renew(&mut self, seen: Seen) {
        match self.seen.iter_mut().find(|known| known.number == seen.number) {
            Some(known) => *known = seen,
            None => self.seen.push(seen),
        }
    }
}

impl Here {
    /// What an application is here, of which a link has keys.
    pub(super) fn of(details: &ApplicationDetails, link: &Link) -> Self {
        let is_locked = |key: &KeyView| key.lock.is_some() && link.keys.contains(&key.id);
        let is_locked = details.keys_list.iter().any(is_locked);
        Self::from_view(&details.application, is_locked)
    }

    fn from_view(view: &ApplicationView, is_locked: bool) -> Self {
        Self {
            id: view.id.clone(),
            name: view.name.clone(),
            plan: view.plan.clone(),
            state: view.state,
            is_locked,
        }
    }
}

impl DrivenAccount {
    /// What the plans there are here.
    pub(super) fn plan_map(&self) -> PlanMap<'_> {
        PlanMap { named: &self.settings.plans, default: self.settings.default_plan.as_ref() }
    }

    /// What is seen of an application and its keys now that it was followed as far as it could be.
    pub(super) async fn seen(
        &self,
        engine: &Arc<Engine>,
        application: &Application,
        (keys, left): (&[Credential], &[String]),
    ) -> Result<Seen, Failure> {
        let now = engine.store().now();
        let link = self.link(engine, application.id).await?;
        let is_linked = |id: &String| link.as_ref().is_some_and(|link| link.keys.contains(id));
        let revoked = keys
            .iter()
            .filter_map(|key| known_key(engine, key))
            .filter(|key| key.state(now) == KeyState::Revoked && is_linked(&key.id.to_string()));
        let named = names(application);
        let reason = |said: &String| {
            let named = named.iter().find_map(|name| said.strip_prefix(name)?.strip_prefix(": "));
            short(&capital(named.unwrap_or(said)))
        };
        let left = left.iter().take(REASONS_MAX).map(reason).collect();
        let [name, _] = named.clone();
        Ok(Seen {
            number: application.id.get(),
            name,
            plan: short(application.plan_name.as_deref().unwrap_or_default()),
            plan_number: application.plan.get(),
            state: SeenState::of(application),
            revoked: revoked.count(),
            came_over: link.is_some(),
            left,
        })
    }

    /// Keeps what differs, after a synchronization that came to its end.
    pub(super) async fn keep_differences(
        &self,
        engine: &Arc<Engine>,
        seen: Vec<Seen>,
    ) -> Result<(), Failure> {
        let all = ListApplications::default();
        let here = engine.execute(&self.principal(), all).await?;
        let here: BTreeMap<_, _> = here.iter().map(|view| (view.id.as_str(), view)).collect();
        let locked = self.locked_keys(engine).await?;
        let (mut kept, mut linked) = (Kept::default(), BTreeSet::new());
        let mut resumed = Vec::new();
        {
            let links = self.links(engine).await?;
            for seen in seen {
                let link = links.get(&ApplicationId::new(seen.number));
                let of_link = |link: &Link| {
                    let is_locked = link.keys.iter().any(|key| locked.contains(key));
                    Some(Here::from_view(here.get(link.application.as_str())?, is_locked))
                };
                let is = link.and_then(of_link);
                if link.is_some_and(|link| link.suspension == Suspension::Followed)
                    && is.as_ref().is_some_and(|is| is.state == ApplicationState::Active)
                {
                    resumed.push(ApplicationId::new(seen.number));
                }
                let count = differences(self.plan_map(), &seen, (link, is.as_ref())).len();
                if count > 0 && kept.seen.len() < KEPT_MAX {
                    kept.seen.push(seen);
                } else {
                    kept.more = kept.more.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                }
            }
            linked.extend(links.values().flat_map(|link| link.keys.iter().cloned()));
        }
        // An owner ended that suspension: the next one that they make is theirs.
        for id in resumed {
            let disown = |link: &mut Link| link.suspension = Suspension::NotOurs;
            self.change_link(engine, id, None, disown).await?;
        }
        for application in self.gone_applications(engine, &linked).await? {
            if kept.gone.len() < KEPT_MAX {
                kept.gone.push(Gone { application });
            } else {
                kept.more = kept.more.saturating_add(1);
            }
        }
        self.keep(engine, &kept, None).await
    }

    /// What is left to decide.
    pub(super) async fn kept(&self, engine: &Arc<Engine>) -> Result<Kept, Failure> {
        self.documents.record(engine, KEPT).await
    }

    /// Keeps what is left to decide, where it is not what is kept already or there is an event to record.
    pub(super) async fn keep(
        &self,
        engine: &Arc<Engine>,
        kept: &Kept,
        event: Option<DocumentEvent>,
    ) -> Result<(), Failure> {
        if event.is_some() || *kept != self.kept(engine).await? {
            self.documents.put_record(engine, (KEPT, kept), event).await?;
        }
        Ok(())
    }

    /// The names of applications with keys of this source that are in no link and not revoked.
    async fn gone_applications(
        &self,
        engine: &Arc<Engine>,
        linked: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, Failure> {
        let (mut found, mut after) = (BTreeSet::new(), None);
        loop {
            let origin = Some(self.name.clone());
            let filter = KeyFilter { origin, after, ..KeyFilter::default() };
            let page = engine.execute(&self.principal(), ListKeys { filter }).await?;
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some(last.id.clone());
            let is_lost = |key: &KeyView| key.state != "revoked" && !linked.contains(&key.id);
            found.extend(page.into_iter().filter(is_lost).map(|key| key.application));
        }
    }

    /// The differences that were kept and still are, and how many more there were.
    pub(super) async fn differences(
        &self,
        engine: &Arc<Engine>,
    ) -> Result<(Vec<Difference>, u64), Failure> {
        let kept = self.kept(engine).await?;
        let mut shown = Vec::new();
        for seen in &kept.seen {
            let (link, here) = self.is_here(engine, ApplicationId::new(seen.number)).await?;
            let found = differences(self.plan_map(), seen, (link.as_ref(), here.as_ref()));
            let subject = seen.number.to_string();
            shown.extend(found.iter().map(|one| one.view(&subject, &seen.name, here.as_ref())));
        }
        for Gone { application } in &kept.gone {
            if let Some((found, here, _)) = self.gone_now(engine, application).await? {
                shown.push(found.view(&here.id, &here.name, Some(&here)));
            }
        }
        Ok((shown, kept.more))
    }

    /// What an application there is here at this moment.
    pub(super) async fn is_here(
        &self,
        engine: &Arc<Engine>,
        id: ApplicationId,
    ) -> Result<(Option<Link>, Option<Here>), Failure> {
        let Some(link) = self.link(engine, id).await? else {
            return Ok((None, None));
        };
        let details = self.details(engine, &link.application).await?;
        let here = details.map(|details| Here::of(&details, &link));
        Ok((Some(link), here))
    }

    /// The keys of an application that came from the source and are in no link, where it has such keys that
    /// work.
    pub(super) async fn gone_now(
        &self,
        engine: &Arc<Engine>,
        application: &str,
    ) -> Result<Option<(Found, Here, Vec<KeyView>)>, Failure> {
        let Some(details) = self.details(engine, application).await? else {
            return Ok(None);
        };
        let here = Here::from_view(&details.application, false);
        let links = self.links(engine).await?;
        let is_linked = |key: &KeyView| links.values().any(|link| link.keys.contains(&key.id));
        let is_lost = |key: &KeyView| {
            let is_own = key.origin.as_deref() == Some(self.name.as_str());
            is_own && key.state != "revoked" && !is_linked(key)
        };
        let lost: Vec<_> = details.keys_list.into_iter().filter(is_lost).collect();
        Ok((!lost.is_empty()).then(|| (gone(lost.len()), here, lost)))
    }

    async fn details(
        &self,
        engine: &Arc<Engine>,
        application: &str,
    ) -> Result<Option<ApplicationDetails>, Failure> {
        let show = ShowApplicationWithKeys { application: application.to_owned() };
        match engine.execute(&self.principal(), show).await {
            Ok(details) => Ok(Some(details)),
            Err(failure) if failure.kind == FailureKind::Missing => Ok(None),
            Err(failure) => Err(failure),
        }
    }
}

/// A sentence that begins as one.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn short(text: &str) -> String {
    text.chars().take(TEXT_CHARS_MAX).collect()
}
