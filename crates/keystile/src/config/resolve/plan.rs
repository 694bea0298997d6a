//! Plans: what the keys of an access tier may do, and what happens past it.

use std::collections::BTreeMap;

use keystile_core::budget::{Per, Quota};
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::{BudgetSpec, PlanSpec, RATE_LIMITS_MAX};
use keystile_core::time::SPAN_MAX;

use super::Resolver;
use super::setting::flag;
use crate::config::raw;
use crate::config::suggest::closest;
use crate::config::value::{Spanned, TextOr};

const LOCK_BY_DEFAULT: LockRule =
    LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked };

impl Resolver<'_> {
    pub(super) fn plans(&mut self, plans: &BTreeMap<Spanned<String>, raw::Plan>) -> Vec<PlanSpec> {
        if plans.is_empty() && !self.is_lost(&["plan"]) {
            self.problem(None, "there is no plan, so nobody could call anything".to_owned())
                .help("add one, as in [plan.open] with allow = [\"*: *\"]");
        }
        self.check_keyless(plans);
        plans.iter().map(|(name, plan)| self.plan(name, plan)).collect()
    }

    fn check_keyless(&mut self, plans: &BTreeMap<Spanned<String>, raw::Plan>) {
        let mut keyless: Vec<_> = plans
            .iter()
            .filter_map(|(name, plan)| {
                Some((name, plan.keyless.as_ref().filter(|keyless| keyless.value)?))
            })
            .collect();
        keyless.sort_by_key(|(_, keyless)| keyless.place.start);
        if let [(first, _), others @ ..] = keyless.as_slice() {
            for (_, second) in others {
                self.error(
                    &second.place,
                    format!("the plan of callers without a key is `{}` already", first.value),
                )
                .help("leave out `keyless` in one of the two");
            }
        }
    }

    fn plan(&mut self, name: &Spanned<String>, plan: &raw::Plan) -> PlanSpec {
        self.name("plan", name);
        let is_keyless = flag(plan.keyless.as_ref());
        PlanSpec {
            name: name.value.clone(),
            is_keyless,
            allow: self.allow(name, plan),
            write_budgets: self.write_budgets(name, plan),
            rate_limits: self.rate_limits(plan),
            lock: self.lock(plan),
        }
    }

    fn allow(
        &mut self,
        name: &Spanned<String>,
        plan: &raw::Plan,
    ) -> Vec<keystile_core::policy::operation::ScopedPattern> {
        let is_empty = plan.allow.as_ref().is_none_or(|allow| allow.values.is_empty());
        if is_empty && !self.is_lost(&["plan", &name.value, "allow"]) {
            let place = plan.allow.as_ref().map_or(&name.place, |allow| &allow.place);
            let api = self.names.keys().next().map_or("*", String::as_str);
            let help = format!("say what it includes, as in allow = [\"{api}: *\"]");
            self.error(place, format!("[plan.{}] allows nothing", name.value)).help(help);
        }
        self.scoped_patterns(plan.allow.as_ref())
    }

    fn write_budgets(&mut self, plan_name: &Spanned<String>, plan: &raw::Plan) -> Vec<BudgetSpec> {
        let mut budgets: Vec<BudgetSpec> = Vec::new();
        for setting in plan.write_budget.iter().flat_map(|setting| &setting.values) {
            let Some(budget) = self.budget((plan_name, plan), setting) else {
                continue;
            };
            let scope = |budget: &BudgetSpec| {
                let mut scope: Vec<_> = budget.on.iter().map(ToString::to_string).collect();
                scope.sort_unstable();
                scope
            };
            let is_twin = |other: &&BudgetSpec| {
                other.quota.window == budget.quota.window
                    && other.per == budget.per
                    && scope(other) == scope(&budget)
            };
            if let Some(twin) = budgets.iter().find(is_twin) {
                let message = format!(
                    "\"{}\" bounds the same writes over the same window already",
                    twin.quota
                );
                self.error(&setting.place, message).help("keep the smaller of the two");
            } else if budget.name.is_some() && budgets.iter().any(|other| other.name == budget.name)
            {
                let message = format!(
                    "another budget of this plan is named {:?}",
                    budget.name.as_deref().unwrap_or_default()
                );
                self.error(&setting.place, message)
                    .help("give it another name, or leave out `name`");
            }
            budgets.push(budget);
        }
        budgets
    }

    fn budget(
        &mut self,
        (plan_name, plan): (&Spanned<String>, &raw::Plan),
        setting: &Spanned<TextOr<raw::Budget>>,
    ) -> Option<BudgetSpec> {
        let budget = match &setting.value {
            TextOr::Text(text) => {
                let text = Spanned { value: text.clone(), place: setting.place.clone() };
                let quota = self.budget_quota(plan_name, &text)?;
                return Some(BudgetSpec { name: None, quota, on: Vec::new(), per: Per::Key });
            }
            TextOr::Table(table) => table,
        };
        if budget.quota.is_none() {
            self.missing(
                &setting.place,
                "quota",
                "this budget needs `quota`",
                "quota = \"10 per day\"",
            );
        }
        let quota = budget.quota.as_ref().and_then(|text| self.budget_quota(plan_name, text));
        let on = self.scoped_patterns(budget.on.as_ref());
        if let Some(empty) = budget.on.as_ref().filter(|on| on.values.is_empty()) {
            self.error(&empty.place, "`on` is empty, so this budget would count nothing")
                .help("leave out `on` to count every write");
        }
        let per = self.per(plan, budget);
        if let Some(name) = &budget.name {
            let is_char = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
            if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(is_char) {
                let message = format!(
                    "{:?} is not a name: write 1 to 64 letters, digits, `-` or `_`",
                    name.value
                );
                self.error(&name.place, message);
            }
        }
        Some(BudgetSpec {
            name: budget.name.as_ref().map(|name| name.value.clone()),
            quota: quota?,
            on,
            per,
        })
    }

    fn per(&mut self, plan: &raw::Plan, budget: &raw::Budget) -> Per {
        let Some(per) = &budget.per else {
            return Per::Key;
        };
        match per.value {
            raw::Per::Key => Per::Key,
            raw::Per::Plan => Per::Plan,
            raw::Per::Application => {
                if flag(plan.keyless.as_ref()) {
                    self.error(&per.place, "callers without a key have no application")
                        .help("leave out `per` to count each address, or write per = \"plan\"");
                }
                Per::Application
            }
        }
    }

    fn budget_quota(
        &mut self,
        plan_name: &Spanned<String>,
        text: &Spanned<String>,
    ) -> Option<Quota> {
        let quota = self.quota(text)?;
        if quota.amount == 0 {
            self.warning(&text.place, "already the first write goes over this budget").help(
                format!(
                    "where plan `{}` is to write nothing, leave writes out of `allow`",
                    plan_name.value
                ),
            );
        }
        Some(quota)
    }

    fn rate_limits(&mut self, plan: &raw::Plan) -> Vec<Quota> {
        let settings = plan.rate_limit.as_ref().map_or(&[][..], |setting| &setting.values);
        if let Some(excess) = settings.get(RATE_LIMITS_MAX) {
            self.error(&excess.place, format!("a plan has at most {RATE_LIMITS_MAX} rate limits"))
                .help("leave out those that another one makes unnecessary");
        }
        settings.iter().filter_map(|setting| self.rate(setting)).collect()
    }

    fn lock(&mut self, plan: &raw::Plan) -> LockRule {
        let is_keyless = flag(plan.keyless.as_ref());
        let never = plan.never_lock.as_ref().filter(|never| never.value);
        let rule = match plan.lock.as_ref() {
            Some(setting) => match &setting.value {
                TextOr::Text(word) => self.lock_word(setting, word),
                TextOr::Table(table) => self.lock_table(table),
            },
            None if never.is_some() || is_keyless => LockRule::Never,
            None => LOCK_BY_DEFAULT,
        };
        if rule == LockRule::Never {
            return rule;
        }
        if let Some(setting) = plan.lock.as_ref().filter(|_| is_keyless) {
            self.error(&setting.place, "callers without a key have no key that could lock")
                .help("leave out `lock`: past a budget their writes are refused until there is room again");
        }
        if let (Some(never), Some(_)) = (never, &plan.lock) {
            self.error(&never.place, "the plan says both how keys lock and that they never do")
                .help("leave out either `lock` or `never_lock`");
        }
        rule
    }

    fn lock_word(&mut self, setting: &Spanned<TextOr<raw::Lock>>, word: &str) -> LockRule {
        let help = match closest(word, ["never", "writes", "all"]) {
            Some("never") if word == "never" => return LockRule::Never,
            Some("never") => "did you mean \"never\"?".to_owned(),
            Some(level) => format!("did you mean {{ level = \"{level}\" }}?"),
            None => "leave out `lock` for a lock that holds until you unlock the key, write a table for \
                     another, as in { level = \"writes\", until = \"1 hour\" }, or \"never\" for none at all"
                .to_owned(),
        };
        self.error(&setting.place, format!("`lock` cannot be {word:?}")).help(help);
        LOCK_BY_DEFAULT
    }

    fn lock_table(&mut self, lock: &raw::Lock) -> LockRule {
        let level = match lock.level.as_ref().map(|level| level.value) {
            Some(raw::Level::All) => LockLevel::All,
            Some(raw::Level::Writes) | None => LockLevel::Writes,
        };
        let growth = self.number("growth", lock.growth.as_ref(), 1..=100, 1_u32);
        let span_max = self.span(lock.max.as_ref(), SPAN_MAX, SPAN_MAX);
        let until = lock.until.as_ref().filter(|until| until.value != "unlocked");
        let Some(until) = until else {
            for place in [
                lock.growth.as_ref().map(|growth| &growth.place),
                lock.max.as_ref().map(|max| &max.place),
            ] {
                let Some(place) = place else { continue };
                self.error(
                    place,
                    "a lock that holds until the owner unlocks the key does not grow",
                )
                .help("give it a length, as in until = \"1 hour\", or leave this out");
            }
            return LockRule::Lock { level, until: LockUntil::Unlocked };
        };
        if closest(&until.value, ["unlocked"]).is_some() {
            self.error(&until.place, format!("`until` cannot be {:?}", until.value))
                .help("did you mean \"unlocked\"?");
            return LOCK_BY_DEFAULT;
        }
        if ["forever", "for ever", "always", "permanent"].contains(&until.value.as_str()) {
            self.error(&until.place, format!("`until` cannot be {:?}", until.value))
                .help("did you mean \"unlocked\", until you unlock the key?");
            return LOCK_BY_DEFAULT;
        }
        let Some(span) = self.parsed_span(until) else {
            return LOCK_BY_DEFAULT;
        };
        if let Some(max) = lock.max.as_ref().filter(|_| span_max < span) {
            self.error(&max.place, format!("already the first lock, {span}, is longer than this"))
                .help("write a longer `max`, or a shorter `until`");
        }
        LockRule::Lock { level, until: LockUntil::For { span, growth, span_max } }
    }
}
