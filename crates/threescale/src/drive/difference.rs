//! What is not the same of an application there and here, and what either side of that asks for.
//!
//! Pure: who reads the portal and what is here is elsewhere, and so is who carries an act out. What a
//! synchronization follows by itself is no difference: only what it leaves as it is, because somebody here, or
//! nobody yet, has to decide it.

use std::collections::BTreeMap;

use keystile_core::keys::application::ApplicationState as StateHere;
use keystile_core::version::version_of;
use keystile_engine::keys::difference::{Difference, Reversal, Side, TakeableSide};
use serde::{Deserialize, Serialize};

use crate::drive::compare::is_plan_of_lock;
use crate::drive::link::{Link, LockThere, Measure, Standing};
use crate::portal::records::{Application, ApplicationState, PlanId};

/// Enough of a hash to tell what an owner saw from what it is now.
const VERSION_CHARS: usize = 8;

/// What was seen of an application there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Seen {
    /// Its number.
    pub(super) number: u64,
    /// What it is called, or would be, here.
    pub(super) name: String,
    /// The name of its plan.
    pub(super) plan: String,
    /// The number of that.
    pub(super) plan_number: u64,
    pub(super) state: SeenState,
    /// How many of its keys are revoked here.
    pub(super) revoked: usize,
    /// Whether it was here by then.
    pub(super) came_over: bool,
    /// Why it, or a part of it, could not come over.
    pub(super) left: Vec<String>,
}

/// Whether an application may call there, and why not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum SeenState {
    MayCall,
    /// It may, and its account may not.
    AccountMayNot,
    Pending,
    Suspended,
    Other(String),
}

/// What the application is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Here {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) plan: String,
    pub(super) state: StateHere,
    /// Whether one of the keys that it also has there is locked.
    pub(super) is_locked: bool,
}

/// The plans there, by name, and what they are here.
#[derive(Clone, Copy, Debug)]
pub(super) struct PlanMap<'a> {
    pub(super) named: &'a BTreeMap<String, String>,
    pub(super) default: Option<&'a String>,
}

/// What a difference is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Plan,
    Access,
    Lock,
    Keys,
    Import,
    Gone,
}

/// What taking a side asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    PutOnPlanHere {
        plan: String,
    },
    PutOnPlanThere {
        name: String,
    },
    SuspendHere,
    ResumeHere,
    SuspendThere,
    ResumeThere,
    /// What a lock here asks for is asked for once more.
    AskAgain {
        measure: Measure,
    },
    UnlockHere,
    RevokeHere,
}

/// A difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) there: String,
    pub(super) here: String,
    pub(super) offers: Vec<(Side, Act)>,
    pub(super) advice: Option<String>,
}

impl Kind {
    const ALL: [Self; 6] =
        [Self::Plan, Self::Access, Self::Lock, Self::Keys, Self::Import, Self::Gone];

    fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Access => "access",
            Self::Lock => "lock",
            Self::Keys => "keys",
            Self::Import => "import",
            Self::Gone => "gone",
        }
    }

    /// What it is about, for people.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Access => "whether it may call",
            Self::Lock => "lock",
            Self::Keys => "revoked keys",
            Self::Import => "not brought over",
            Self::Gone => "gone there",
        }
    }
}

impl Act {
    /// What it does, as an order.
    pub(super) fn words(&self) -> String {
        match self {
            Self::PutOnPlanHere { plan } => format!("put it on the plan {plan} here"),
            Self::PutOnPlanThere { name } => format!("put it on the plan {name:?} there"),
            Self::SuspendHere => "suspend it here".to_owned(),
            Self::ResumeHere => "resume it here".to_owned(),
            Self::SuspendThere => "suspend it there".to_owned(),
            Self::ResumeThere => "resume it there".to_owned(),
            Self::AskAgain { measure: Measure::Suspend } => "suspend it there again".to_owned(),
            Self::AskAgain { measure: Measure::ChangePlan { plan, .. } } => {
                format!("put it on the plan {plan:?} there again")
            }
            Self::UnlockHere => "unlock its keys here".to_owned(),
            Self::RevokeHere => "revoke its keys here for good".to_owned(),
        }
    }

    fn undo(&self) -> Reversal {
        match self {
            Self::RevokeHere => Reversal::Impossible,
            Self::PutOnPlanHere { .. }
            | Self::PutOnPlanThere { .. }
            | Self::SuspendHere
            | Self::ResumeHere
            | Self::SuspendThere
            | Self::ResumeThere
            | Self::AskAgain { .. }
            | Self::UnlockHere => Reversal::Possible,
        }
    }
}

impl Found {
    /// What names it: what it is about, of which application, and what it says.
    pub(super) fn id(&self, subject: &str) -> String {
        let mut version = version_of(&(&self.there, &self.here, &self.offers));
        version.truncate(VERSION_CHARS);
        format!("{}-{subject}-{version}", self.kind.name())
    }

    /// As owners see it.
    pub(super) fn view(&self, subject: &str, name: &str, here: Option<&Here>) -> Difference {
        let side = |(side, act): &(Side, Act)| TakeableSide {
            side: *side,
            does: act.words(),
            undo: act.undo(),
        };
        Difference {
            id: self.id(subject),
            application: here.map_or(name, |here| &here.name).to_owned(),
            application_id: here.map(|here| here.id.clone()),
            about: self.kind.words().to_owned(),
            there: self.there.clone(),
            here: self.here.clone(),
            sides: self.offers.iter().map(side).collect(),
            advice: self.advice.clone(),
        }
    }

    /// What a side asks for.
    pub(super) fn act(&self, side: Side) -> Option<&Act> {
        self.offers.iter().find(|(offered, _)| *offered == side).map(|(_, act)| act)
    }
}

/// What an id names: what it is about, and of which application.
pub(super) fn subject_of(id: &str) -> Option<(Kind, &str)> {
    let (kind, rest) = id.split_once('-')?;
    let kind = Kind::ALL.into_iter().find(|known| known.name() == kind)?;
    Some((kind, rest.rsplit_once('-')?.0))
}

impl SeenState {
    pub(super) fn of(application: &Application) -> Self {
        match &application.state {
            ApplicationState::Live if application.enabled => Self::MayCall,
            ApplicationState::Live => Self::AccountMayNot,
            ApplicationState::Pending => Self::Pending,
            ApplicationState::Suspended => Self::Suspended,
            ApplicationState::Other(state) => Self::Other(state.clone()),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::MayCall => "It may call.".to_owned(),
            Self::AccountMayNot => "It may not call, because its account may not.".to_owned(),
            Self::Pending => "It may not call: it waits to be accepted.".to_owned(),
            Self::Suspended => "It is suspended.".to_owned(),
            Self::Other(state) => format!("It may not call: its state is {state:?}."),
        }
    }
}

impl PlanMap<'_> {
    /// What a plan there is here.
    fn here(&self, there: &str) -> Option<&String> {
        self.named.get(there).or(self.default)
    }

    /// The one plan there that is named for a plan here.
    fn there(&self, here: &str) -> Option<&String> {
        let mut named = self.named.iter().filter(|(_, plan)| *plan == here).map(|(name, _)| name);
        named.next().filter(|_| named.next().is_none())
    }
}

/// What differs of an application that was seen there. `link` and `here` are what it is here, if it is.
pub(super) fn differences(
    plans: PlanMap<'_>,
    seen: &Seen,
    (link, here): (Option<&Link>, Option<&Here>),
) -> Vec<Found> {
    let mut found = Vec::new();
    if let (Some(link), Some(here)) = (link, here) {
        // A lock here asked for that plan.
        if !is_plan_of_lock(link, PlanId::new(seen.plan_number)) {
            found.extend(plan(plans, seen, here));
        }
        found.extend(access(seen, link, here));
        found.extend(lock(seen, link, here));
        found.extend(keys(seen));
    }
    // What was said of it holds no longer where it has come over since.
    if seen.came_over == link.is_some() {
        found.extend(import(plans, seen));
    }
    found
}

fn plan(plans: PlanMap<'_>, seen: &Seen, here: &Here) -> Option<Found> {
    let (there, is) = (&seen.plan, &here.plan);
    let Some(stands_for) = plans.here(there) else {
        return Some(Found {
            kind: Kind::Plan,
            there: format!("It is on the plan {there:?}, which stands for no plan here."),
            here: format!("It is on the plan {is}."),
            offers: Vec::new(),
            advice: Some(name_the_plan(there)),
        });
    };
    if stands_for == is {
        return None;
    }
    let mut offers = vec![(Side::There, Act::PutOnPlanHere { plan: stands_for.clone() })];
    let mut advice = None;
    match plans.there(is) {
        Some(name) => offers.push((Side::Here, Act::PutOnPlanThere { name: name.clone() })),
        None => {
            advice = Some(format!(
                "To keep it on {is}, name the one plan there that stands for {is} in `plans`."
            ));
        }
    }
    Some(Found {
        kind: Kind::Plan,
        there: format!("It is on the plan {there:?}, which stands for {stands_for} here."),
        here: format!("It is on the plan {is}."),
        offers,
        advice,
    })
}

fn access(seen: &Seen, link: &Link, here: &Here) -> Option<Found> {
    let mut advice = None;
    let (words, offers) = match (&seen.state, here.state) {
        (SeenState::MayCall, StateHere::Suspended) => (
            "It is suspended.",
            vec![(Side::There, Act::ResumeHere), (Side::Here, Act::SuspendThere)],
        ),
        (SeenState::MayCall, StateHere::Active) | (_, StateHere::Suspended) => return None,
        // A lock here asked for it.
        (_, StateHere::Active) if link.is_suspended_for_lock() => return None,
        (state, StateHere::Active) => {
            let mut offers = vec![(Side::There, Act::SuspendHere)];
            match state {
                SeenState::Suspended if here.is_locked => {
                    advice = Some("To resume it there, unlock its keys here first.".to_owned());
                }
                SeenState::Suspended => offers.push((Side::Here, Act::ResumeThere)),
                SeenState::AccountMayNot => {
                    advice =
                        Some("To let it call there, approve its account in 3scale.".to_owned());
                }
                SeenState::Pending => {
                    advice = Some("To let it call there, accept it in 3scale.".to_owned());
                }
                SeenState::MayCall | SeenState::Other(_) => {}
            }
            ("It may call.", offers)
        }
    };
    Some(Found {
        kind: Kind::Access,
        there: seen.state.words(),
        here: words.to_owned(),
        offers,
        advice,
    })
}

/// What a lock here asks for was so there, and is not any more.
fn lock(seen: &Seen, link: &Link, here: &Here) -> Option<Found> {
    let LockThere { measure, standing, .. } = link.lock.as_ref()?;
    if !matches!(standing, Standing::Overruled | Standing::FoundSo) || !here.is_locked {
        return None;
    }
    let (there, again) = match measure {
        Measure::Suspend if seen.state == SeenState::MayCall => {
            ("It may call: somebody resumed it there.".to_owned(), Measure::Suspend)
        }
        Measure::ChangePlan { plan, .. } if seen.plan != *plan => {
            let there = format!("It is on the plan {:?}, and not on {plan:?}.", seen.plan);
            (there, Measure::ChangePlan { plan: plan.clone(), moved: None })
        }
        Measure::Suspend | Measure::ChangePlan { .. } => return None,
    };
    let again = Act::AskAgain { measure: again };
    Some(Found {
        kind: Kind::Lock,
        there,
        here: "It has a key that is locked.".to_owned(),
        offers: vec![(Side::There, Act::UnlockHere), (Side::Here, again)],
        advice: None,
    })
}

fn keys(seen: &Seen) -> Option<Found> {
    let (there, here) = match seen.revoked {
        0 => return None,
        1 => ("A key of it works.".to_owned(), "That key is revoked.".to_owned()),
        count => (format!("{count} keys of it work."), "Those keys are revoked.".to_owned()),
    };
    let advice = "Revoking is final here. Delete the key in 3scale; if the application is to go on, give it \
                  another one there, which comes over.";
    let advice = Some(advice.to_owned());
    Some(Found { kind: Kind::Keys, there, here, offers: Vec::new(), advice })
}

fn import(plans: PlanMap<'_>, seen: &Seen) -> Option<Found> {
    if seen.left.is_empty() || seen.state != SeenState::MayCall {
        return None;
    }
    let advice = match plans.here(&seen.plan) {
        None => name_the_plan(&seen.plan),
        Some(_) => "Mend what it says, and synchronize.".to_owned(),
    };
    let there =
        if seen.came_over { "It may call with keys that are not here." } else { "It may call." };
    Some(Found {
        kind: Kind::Import,
        there: there.to_owned(),
        here: seen.left.join(" "),
        offers: Vec::new(),
        advice: Some(advice),
    })
}

/// An application here that came from the source, and is none of those that it has.
pub(super) fn gone(keys: usize) -> Found {
    let here = match keys {
        1 => "A key that came from there works.".to_owned(),
        count => format!("{count} keys that came from there work."),
    };
    Found {
        kind: Kind::Gone,
        there: "It is not there.".to_owned(),
        here,
        offers: vec![(Side::There, Act::RevokeHere)],
        advice: None,
    }
}

fn name_the_plan(there: &str) -> String {
    format!("Say in `plans` what {there:?} stands for, or set `default_plan`.")
}
