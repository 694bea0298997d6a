//! The plans of an account, each with what it may call.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use keystile_core::text::printable;

use super::allow::Allowed;
use super::names::Names;
use super::operations::Rule;
use super::quoted::quoted;
use crate::import::snapshot::ServiceSnapshot;

/// Plans by their name there.
#[derive(Default)]
pub(super) struct Plans(BTreeMap<String, Plan>);

/// A plan there, of all services that have one of its name.
#[derive(Default)]
struct Plan {
    /// What it may call of each API; `None` where no rule says what there is.
    apis: BTreeMap<String, Option<Allowed>>,
    limits: BTreeSet<String>,
}

impl Plans {
    /// Adds the plans of a service, which is an API here.
    pub(super) fn add(&mut self, one: &ServiceSnapshot, api: &str, rules: &[Rule]) {
        for plan in &one.plans {
            let there = printable(&plan.application_plan.name).into_owned();
            let here = self.0.entry(there).or_default();
            let allowed = (!rules.is_empty()).then(|| Allowed::of(one, rules, plan));
            match here.apis.entry(api.to_owned()) {
                Entry::Vacant(vacant) => drop(vacant.insert(allowed)),
                Entry::Occupied(mut known) => {
                    if let (Some(known), Some(allowed)) = (known.get_mut(), allowed) {
                        known.and(allowed);
                    }
                }
            }
            here.limits.extend(plan.limits.iter().map(|limit| {
                let metric = one.metrics.iter().find(|metric| metric.id == limit.metric);
                let metric = metric.map_or("?", |metric| metric.system_name.as_str());
                let (metric, period) = (printable(metric), printable(&limit.period));
                format!("{api}: {} {metric} per {period}", limit.value)
            }));
        }
    }

    /// Writes them, and how they stand for those there.
    pub(super) fn write(&self, text: &mut String) {
        let mut names = Names::default();
        let mut stand_for = Vec::new();
        for (number, (there, plan)) in (1_u64..).zip(&self.0) {
            let here = names.new_name(there, number);
            let _ = writeln!(text, "\n# the plan {} there", quoted(there));
            if plan.write(text, &here) {
                stand_for.push(format!("{} = {}", quoted(there), quoted(&here)));
            }
        }
        if !stand_for.is_empty() {
            let all = stand_for.join(", ");
            let _ = writeln!(text, "\n# [threescale_backend]\n# plans = {{ {all} }}");
        }
    }
}

impl Plan {
    /// Whether it allows something, so that it can be a plan here.
    fn write(&self, text: &mut String, name: &str) -> bool {
        if !self.limits.is_empty() {
            let _ = writeln!(text, "# its limits, which are not taken over:");
        }
        for limit in &self.limits {
            let _ = writeln!(text, "#   {limit}");
        }
        if self.apis.len() > 1 {
            let said = "# several services there have a plan of this name, and its keys may call all of these:";
            let _ = writeln!(text, "{said}");
        }
        let mut allow = Vec::new();
        for (api, allowed) in &self.apis {
            let Some(allowed) = allowed else {
                let _ =
                    writeln!(text, "# {api} has no rules there: say what of it the plan may call");
                allow.push(quoted(&format!("{api}: *")));
                continue;
            };
            for said in &allowed.said {
                let _ = writeln!(text, "# {api}: {said}");
            }
            let patterns = allowed.patterns().into_iter();
            allow.extend(patterns.map(|pattern| quoted(&format!("{api}: {pattern}"))));
        }
        if allow.is_empty() {
            let _ = writeln!(
                text,
                "# left out: all that the rules name is disabled in it there, or cannot be said here"
            );
            return false;
        }
        let _ = writeln!(text, "[plan.{}]", quoted(name));
        let _ = match allow.as_slice() {
            [one] => writeln!(text, "allow = [{one}]"),
            all => writeln!(text, "allow = [\n    {},\n]", all.join(",\n    ")),
        };
        true
    }
}
