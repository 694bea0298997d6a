//! Which applications of the account are applications of Keystile as well, so that owners see them, lock them and are
//! told of them like any other.
//!
//! Pure: what the portal says of an application becomes what follows of it here. The store carries that out in the
//! commit in which the portal's word is kept (`commit`), so neither is ever there without the other.

use std::collections::{BTreeMap, HashSet};

use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::keys::hash::KeyHash;
use keystile_engine::keys::source_change::{hashed_key, new_application_id};
use keystile_store::doors::source_change::{FollowedApplication, NewApplication};
use serde::{Deserialize, Serialize};

use super::record::{ApplicationRecord, SecretHash, ServiceRecord};
use crate::backend::catalog::{BackendVersion, State};
use crate::name::kept;

/// Where the keys of an account come from, as listings and the audit say it.
pub const ORIGIN: &str = "3scale backend";

/// A name is no longer, so that there is room behind it for what tells two apart.
const NAME_CHARS_MAX: usize = 60;

/// Which plans here the plans of an account stand for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorRule {
    /// Plans there, by name, and the plans that they are here.
    pub plans: BTreeMap<String, String>,
    /// The plan of applications on other plans; without it they are not mirrored.
    pub default_plan: Option<String>,
}

impl MirrorRule {
    /// The plan here of an application there.
    pub(super) fn plan_of(&self, record: &ApplicationRecord) -> Option<&str> {
        self.plans.get(&record.plan_name).or(self.default_plan.as_ref()).map(String::as_str)
    }
}

/// An application here, and what it last followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Link {
    /// The application here.
    pub(super) application: ApplicationId,
    /// The keys that it had there.
    pub(super) keys: Vec<SecretHash>,
    /// The plan that its plan there stood for.
    pub(super) plan: String,
    /// Whether it might call there.
    pub(super) state: ApplicationState,
}

/// All links, by the ids of the applications' documents. Those of applications that are gone stay: one that is made
/// again under its id is the same application here.
pub(super) type Links = BTreeMap<String, Link>;

/// What follows of an application that is there: the link as it is then, and what to do. `None` where nothing is to
/// be done.
pub(super) fn follow(
    service: &ServiceRecord,
    record: &ApplicationRecord,
    link: Option<&Link>,
    plan: Option<&str>,
) -> Option<(Link, FollowedApplication)> {
    let (keys, state) = (keys_of(service, record), state_of(record));
    let Some(link) = link else {
        let (id, plan) = (new_application_id(), plan?.to_owned());
        let new = NewApplication { names: names(record), plan: plan.clone() };
        let followed = FollowedApplication {
            id,
            new: Some(new),
            plan: None,
            state: (state == ApplicationState::Suspended).then_some(state),
            ended: Vec::new(),
            added: keys.iter().map(|key| hashed_key(key.0, ORIGIN)).collect(),
            keys: keys.iter().map(|key| key.0).collect(),
        };
        return Some((Link { application: id, keys, plan, state }, followed));
    };
    let (before, now) = (set(&link.keys), set(&keys));
    let plan = plan.unwrap_or(&link.plan);
    let followed = FollowedApplication {
        id: link.application,
        new: None,
        plan: (plan != link.plan).then(|| plan.to_owned()),
        state: (state != link.state).then_some(state),
        ended: link.keys.iter().filter(|key| !now.contains(key)).map(|key| key.0).collect(),
        added: keys
            .iter()
            .filter(|key| !before.contains(key))
            .map(|key| hashed_key(key.0, ORIGIN))
            .collect(),
        keys: keys.iter().map(|key| key.0).collect(),
    };
    let is_same = followed.plan.is_none()
        && followed.state.is_none()
        && followed.ended.is_empty()
        && followed.added.is_empty();
    let link = Link { application: link.application, keys, plan: plan.to_owned(), state };
    (!is_same).then_some((link, followed))
}

/// What follows of an application that is gone there: its keys end.
pub(super) fn let_go(link: &Link) -> Option<(Link, FollowedApplication)> {
    if link.keys.is_empty() {
        return None;
    }
    let followed = FollowedApplication {
        id: link.application,
        new: None,
        plan: None,
        state: None,
        ended: link.keys.iter().map(|key| key.0).collect(),
        added: Vec::new(),
        keys: Vec::new(),
    };
    Some((Link { keys: Vec::new(), ..link.clone() }, followed))
}

/// What follows where a key of an application was another's here, and is that no more.
pub(super) fn take_again(link: &Link, key: KeyHash) -> FollowedApplication {
    FollowedApplication {
        id: link.application,
        new: None,
        plan: None,
        state: None,
        ended: Vec::new(),
        added: vec![hashed_key(key, ORIGIN)],
        keys: link.keys.iter().map(|key| key.0).collect(),
    }
}

fn set(keys: &[SecretHash]) -> HashSet<SecretHash> {
    keys.iter().copied().collect()
}

/// The keys of an application by which its service knows it.
fn keys_of(service: &ServiceRecord, record: &ApplicationRecord) -> Vec<SecretHash> {
    match BackendVersion::named(&service.backend_version) {
        BackendVersion::One => record.user_key.into_iter().collect(),
        BackendVersion::Two | BackendVersion::Oauth => {
            record.keys.iter().filter_map(|known| known.pair).collect()
        }
    }
}

fn state_of(record: &ApplicationRecord) -> ApplicationState {
    match State::named(&record.state) {
        State::Active => ApplicationState::Active,
        State::Suspended => ApplicationState::Suspended,
    }
}

/// What an application may be called here: its name or its id, and the same with its service.
fn names(record: &ApplicationRecord) -> Vec<String> {
    let (service, id) = (&record.service_id, &record.id);
    let named = record.name.as_deref().and_then(|name| kept(name, NAME_CHARS_MAX));
    let name = named.or_else(|| kept(id, NAME_CHARS_MAX));
    let name = name.unwrap_or_else(|| "Application of 3scale".to_owned());
    let longer = kept(&format!("{name} ({service}/{id})"), NAME_CHARS_MAX);
    std::iter::once(name).chain(longer).collect()
}
