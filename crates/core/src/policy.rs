//! The policy: all APIs and plans of one configuration, ready to be asked about requests.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::tz::TimeZone;

use crate::api::{Api, ApiSpec};
use crate::budget::Quota;
use crate::lock::LockRule;
use crate::operation::ScopedPattern;
use crate::template::IndexSet;

/// How many rate limits a plan may have; each key keeps one number for each of them.
pub const RATE_LIMITS_MAX: usize = 4;

/// Everything that the configuration says of one plan.
#[derive(Clone, Debug)]
pub struct PlanSpec {
    /// Its name.
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
    /// The API.
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

    /// The API that a host and folded path belong to.
    pub fn api(&self, host: &str, folded_path: &str) -> Option<ApiRef<'_>> {
        let place = self.apis.iter().position(|api| api.has(host, folded_path))?;
        Some(ApiRef { api: &self.apis[place], place })
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

fn speaks_of(scoped: &ScopedPattern, api: &str) -> bool {
    scoped.api == "*" || scoped.api == api
}

impl Plan {
    fn new(spec: PlanSpec, apis: &[Arc<Api>]) -> Self {
        let budgets = spec.write_budgets.iter().scan(Vec::new(), |names, budget| {
            let name = unique(&budget.name.clone().unwrap_or_else(|| budget_name(budget)), names);
            Some(Budget { name, quota: budget.quota, is_scoped: !budget.on.is_empty() })
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

    /// Its name.
    pub fn name(&self) -> &str {
        &self.spec.name
    }

    /// Its write budgets.
    pub fn budgets(&self) -> &[Budget] {
        &self.budgets
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

/// `writes-day` for a budget on all writes, `bookmarks-delete-day` for one on some operations.
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
    format!("{subject}-{}", budget.quota.window.slug())
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
