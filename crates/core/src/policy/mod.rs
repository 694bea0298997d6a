//! The policy: all APIs and plans of one configuration, ready to be asked about requests.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::Ipv6Addr;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::budget::{BudgetAmount, Debits, Per, Quota, Writer};
use crate::keys::lock::LockRule;
use crate::policy::api::{Api, ApiSpec};
use crate::policy::operation::ScopedPattern;
use crate::policy::template::IndexSet;
use crate::refusal::{Reason, Refusal};

pub mod api;
pub mod example_call;
pub mod matrix;
pub mod operation;
pub mod template;

/// How many rate limits a plan may have; each key keeps one number for each of them.
pub const RATE_LIMITS_MAX: usize = 4;

/// Everything that the configuration says of one plan.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    pub name: String,
    /// Whether it is for callers without a key, who are counted by address.
    pub is_keyless: bool,
    /// The operations that it includes.
    pub allow: Vec<ScopedPattern>,
    /// How many writes it includes.
    pub write_budgets: Vec<BudgetSpec>,
    /// How fast its keys may call; at most [`RATE_LIMITS_MAX`].
    pub rate_limits: Vec<Quota>,
    /// What happens to a key that goes over a write budget.
    pub lock: LockRule,
}

/// A quota on writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetSpec {
    /// Its name in headers and messages; made from window and operations where `None`.
    pub name: Option<String>,
    /// How many.
    pub quota: Quota,
    /// The writes that count; all where empty.
    pub on: Vec<ScopedPattern>,
    /// Whose writes it counts together.
    pub per: Per,
}

/// A plan, ready to be asked about requests.
#[derive(Debug)]
pub struct Plan {
    spec: PlanSpec,
    budgets: Vec<Budget>,
    /// What the plan says in each API, by the API's place in the policy.
    by_api: Vec<PlanInApi>,
}

/// A write budget of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Unique in its plan; the policy name in RateLimit fields.
    pub name: String,
    /// How many writes in which window.
    pub quota: Quota,
    /// Whose writes it counts together.
    pub per: Per,
    /// Whether it counts all writes, or only those of some operations.
    pub is_scoped: bool,
}

#[derive(Debug)]
struct PlanInApi {
    allow: IndexSet,
    /// For each budget the patterns that it counts; `None` counts everything.
    scopes: Vec<Option<IndexSet>>,
}

/// All APIs and plans of one configuration.
#[derive(Debug)]
pub struct Policy {
    apis: Vec<Arc<Api>>,
    plans: HashMap<String, Arc<Plan>>,
    keyless: Option<Arc<Plan>>,
    time_zone: TimeZone,
}

/// An API together with its place in the policy that it was found in.
#[derive(Clone, Copy, Debug)]
pub struct ApiRef<'a> {
    pub api: &'a Arc<Api>,
    /// Its place in [`Policy::apis`].
    pub place: usize,
}

impl Policy {
    /// Prepares a policy. Names are expected to be checked: a rule for an API that does not exist
    /// matches nothing.
    pub fn new(apis: Vec<ApiSpec>, plans: Vec<PlanSpec>, time_zone: TimeZone) -> Self {
        let mut apis: Vec<_> = apis
            .into_iter()
            .map(|spec| {
                let used = plans
                    .iter()
                    .flat_map(|plan| {
                        plan.allow
                            .iter()
                            .chain(plan.write_budgets.iter().flat_map(|budget| &budget.on))
                    })
                    .filter(|scoped| speaks_of(scoped, &spec.name))
                    .map(|scoped| scoped.pattern.clone())
                    .collect::<Vec<_>>();
                Arc::new(Api::new(spec, used.into_iter()))
            })
            .collect();
        // The longest prefix wins, and a named host wins over every host.
        apis.sort_by_key(|api| {
            (std::cmp::Reverse(api.spec().path.len()), api.spec().hosts.is_empty())
        });
        let plans: Vec<_> =
            plans.into_iter().map(|spec| Arc::new(Plan::new(spec, &apis))).collect();
        Self {
            keyless: plans.iter().find(|plan| plan.spec.is_keyless).cloned(),
            plans: plans.into_iter().map(|plan| (plan.spec.name.clone(), plan)).collect(),
            apis,
            time_zone,
        }
    }

    /// The same policy with every guarded API only observed.
    #[must_use]
    pub fn observing(self) -> Self {
        let apis = self.apis.into_iter().map(|api| Arc::new(api.observed())).collect();
        Self { apis, ..self }
    }

    /// The API that a request belongs to.
    ///
    /// Servers differ in whether case, escapes and a trailing slash make another path, so a path that
    /// belongs to one API as it is written and to another one in its folded form belongs to neither: one
    /// of the two would be less strict. Fails when that is so, and when no API has this host and path.
    pub fn api(&self, host: &str, path: &str, folded_path: &str) -> Result<ApiRef<'_>, Refusal> {
        let host = one_spelling(host);
        let place_of = |has_path: &dyn Fn(&Api) -> bool| {
            self.apis.iter().position(|api| api.has_host(&host) && has_path(api))
        };
        let written = place_of(&|api| api.has_path(path));
        let folded = place_of(&|api| api.has_folded_path(folded_path));
        match (written, folded) {
            (Some(place), Some(same)) if place == same => {
                Ok(ApiRef { api: &self.apis[place], place })
            }
            (_, Some(other)) => Err(Refusal::new(Reason::PathInvalid).because(format!(
                "The path must begin with {:?}, just so: in this spelling servers can take it for another one.",
                self.apis[other].spec().path
            ))),
            (_, None) => Err(Reason::HostUnknown.into()),
        }
    }

    /// An API by its name.
    pub fn api_named(&self, name: &str) -> Option<ApiRef<'_>> {
        let place = self.apis.iter().position(|api| api.name() == name)?;
        Some(ApiRef { api: &self.apis[place], place })
    }

    /// All APIs, in the order in which they are asked.
    pub fn apis(&self) -> &[Arc<Api>] {
        &self.apis
    }

    /// A plan by its name.
    pub fn plan(&self, name: &str) -> Option<&Arc<Plan>> {
        self.plans.get(name)
    }

    /// All plans, in no order.
    pub fn plans(&self) -> impl Iterator<Item = &Arc<Plan>> {
        self.plans.values()
    }

    /// The plan of callers without a key.
    pub fn keyless_plan(&self) -> Option<&Arc<Plan>> {
        self.keyless.as_ref()
    }

    /// Where calendar windows begin.
    pub fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }
}

/// A host without the dot that may end a full name, and an IPv6 address in its shortest form: what stands
/// behind takes all of them for the same.
fn one_spelling(host: &str) -> Cow<'_, str> {
    let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    match bracketed.and_then(|address| address.parse::<Ipv6Addr>().ok()) {
        Some(address) => format!("[{address}]").into(),
        None => host.trim_end_matches('.').into(),
    }
}

fn speaks_of(scoped: &ScopedPattern, api: &str) -> bool {
    scoped.api == "*" || scoped.api == api
}

impl Plan {
    fn new(spec: PlanSpec, apis: &[Arc<Api>]) -> Self {
        let budgets = spec.write_budgets.iter().scan(Vec::new(), |names, budget| {
            let name = unique(&budget.name.clone().unwrap_or_else(|| budget_name(budget)), names);
            let BudgetSpec { quota, per, .. } = *budget;
            Some(Budget { name, quota, per, is_scoped: !budget.on.is_empty() })
        });
        let budgets = budgets.collect();
        let by_api = apis.iter().map(|api| {
            let places = |patterns: &[ScopedPattern]| {
                let mut set = IndexSet::default();
                for scoped in patterns.iter().filter(|scoped| speaks_of(scoped, api.name())) {
                    if let Some(place) = api.index_of(&scoped.pattern) {
                        set.insert(place);
                    }
                }
                set
            };
            let scope = |budget: &BudgetSpec| (!budget.on.is_empty()).then(|| places(&budget.on));
            PlanInApi {
                allow: places(&spec.allow),
                scopes: spec.write_budgets.iter().map(scope).collect(),
            }
        });
        Self { by_api: by_api.collect(), budgets, spec }
    }

    /// What the configuration says of it.
    pub fn spec(&self) -> &PlanSpec {
        &self.spec
    }

    pub fn name(&self) -> &str {
        &self.spec.name
    }

    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
    }

    /// What a write takes from its budgets, by whose they are.
    pub fn debits(&self, writer: Writer, amounts: &[BudgetAmount]) -> Debits {
        Debits::new(writer, amounts, |place| {
            self.budgets.get(place).map_or(Per::Key, |budget| budget.per)
        })
    }

    /// Whether it includes an operation of the API at a place. Only the path as written may allow.
    pub(crate) fn allows(&self, api_place: usize, exact: &IndexSet) -> bool {
        self.by_api.get(api_place).is_some_and(|rules| rules.allow.intersects(exact))
    }

    /// Whether its budget at a place counts a write of the API at a place. Either form of the path counts.
    pub(crate) fn counts(&self, budget_place: usize, api_place: usize, either: &IndexSet) -> bool {
        self.by_api.get(api_place).is_none_or(|rules| match &rules.scopes[budget_place] {
            Some(scope) => scope.intersects(either),
            None => true,
        })
    }
}

/// `writes-day` for a budget on all writes, `bookmarks-delete-day` for one on some operations, and
/// `application-writes-day` for one that the keys of an application share.
fn budget_name(budget: &BudgetSpec) -> String {
    let subject = match budget.on.as_slice() {
        [] => "writes".to_owned(),
        [first, ..] => {
            let text = first.to_string().to_ascii_lowercase();
            let words =
                text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
            words.collect::<Vec<_>>().join("-")
        }
    };
    let whose = match budget.per {
        Per::Key => "",
        Per::Application => "application-",
        Per::Plan => "plan-",
    };
    format!("{whose}{subject}-{}", budget.quota.window.slug())
}

fn unique(name: &str, taken: &mut Vec<String>) -> String {
    let mut candidate = name.to_owned();
    for number in 2_u32.. {
        if !taken.contains(&candidate) {
            break;
        }
        candidate = format!("{name}-{number}");
    }
    taken.push(candidate.clone());
    candidate
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::policy::api::tests::spec;
    use crate::request::grammar::fold_path;

    fn policy(paths: &[&str]) -> Policy {
        let api = |path: &&str| ApiSpec {
            path: (*path).to_owned(),
            ..spec(if path.is_empty() { "root" } else { path }, Vec::new())
        };
        Policy::new(paths.iter().map(api).collect(), Vec::new(), TimeZone::UTC)
    }

    fn found(policy: &Policy, path: &str) -> Result<String, Reason> {
        let api = policy.api("a", path, &fold_path(path));
        api.map(|found| found.api.name().to_owned()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn another_spelling_of_a_path_belongs_to_no_api() {
        for others in [&["/Off"][..], &["/Off", ""], &["/Off", "/x"]] {
            let policy = policy(others);
            for path in ["/Off", "/Off/", "/Off/x", "/Off/X"] {
                assert_eq!(found(&policy, path), Ok("/Off".to_owned()), "{path}");
            }
            for path in ["/off", "/OFF/x", "/off;v=1/x", "/Off;v=1", "/o%66F/"] {
                assert_eq!(found(&policy, path), Err(Reason::PathInvalid), "{path}");
            }
        }
        assert_eq!(found(&policy(&["/off", ""]), "/offer"), Ok("root".to_owned()));
        assert_eq!(found(&policy(&["/off"]), "/offer"), Err(Reason::HostUnknown));
    }

    #[test]
    fn another_spelling_of_a_host_is_the_same_host() {
        let named = |name: &str, hosts: &[&str]| ApiSpec {
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            ..spec(name, Vec::new())
        };
        let apis = vec![named("any", &[]), named("guarded", &["a.test", "*.b.test", "[::1]"])];
        let policy = Policy::new(apis, Vec::new(), TimeZone::UTC);
        let found = |host| policy.api(host, "/", "/").unwrap().api.name().to_owned();
        for host in ["a.test", "a.test.", "x.b.test.", "[::1]", "[0:0:0:0:0:0:0:1]", "[0::0.0.0.1]"]
        {
            assert_eq!(found(host), "guarded", "{host}");
        }
        assert_eq!(found("b.test"), "any");
    }

    #[test]
    fn an_api_below_another_is_not_entered_by_another_spelling() {
        let policy = policy(&["/pub", "/pub/admin"]);
        assert_eq!(found(&policy, "/pub/admin/x"), Ok("/pub/admin".to_owned()));
        assert_eq!(found(&policy, "/pub/ADMIN/x"), Err(Reason::PathInvalid));
        assert_eq!(found(&policy, "/pub/x"), Ok("/pub".to_owned()));
    }

    proptest! {
        #[test]
        fn every_spelling_of_a_path_belongs_to_one_api_or_to_none(
            path in "(/(a|A|b|B|%41|a;x)){1,3}/?",
            paths in prop::collection::hash_set("(/(a|A|b)){0,2}", 1..4),
        ) {
            let mut seen = std::collections::HashSet::new();
            let paths: Vec<_> =
                paths.iter().map(String::as_str).filter(|path| seen.insert(path.to_lowercase())).collect();
            let policy = policy(&paths);
            let spellings = [path.clone(), path.to_lowercase(), path.to_uppercase(), format!("{path}/")];
            let found: std::collections::HashSet<_> =
                spellings.iter().filter_map(|path| found(&policy, path).ok()).collect();
            prop_assert!(found.len() <= 1, "{path}: {found:?}");
        }
    }
}
