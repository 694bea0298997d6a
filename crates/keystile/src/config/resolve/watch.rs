//! Watch rules: what they wait for, whom they speak of, and whom they notify.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use keystile_core::journal::Outcome;
use keystile_core::notifications::trigger::{Condition, Trigger};
use keystile_core::notifications::watch::{WINDOW, WatchRule, WatchRules};
use keystile_core::policy::PlanSpec;
use keystile_core::policy::operation::{ScopedPattern, is_safe};
use keystile_core::time::Span;

use super::Resolver;
use super::gate::DAY;
use crate::config::raw::{self, WatchEvent, WatchOutcome};
use crate::config::suggest::{closest, either};
use crate::config::value::{OneOrMany, Spanned};

const LEVELS: [u8; 3] = [50, 80, 100];
const WINDOW_MIN: Span = Span::from_secs(1);

impl Resolver<'_> {
    pub(super) fn watching(
        &mut self,
        file: &raw::File,
        plans: &[PlanSpec],
        time_zone: TimeZone,
    ) -> WatchRules {
        let channels = self.channels(&file.channel);
        let names: Vec<&str> = file.channel.keys().map(|name| name.value.as_str()).collect();
        let plans: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        let mut rules: Vec<_> = file.watch.iter().collect();
        rules.sort_by_key(|(name, _)| name.place.start);
        let rules: Vec<WatchRule> = rules
            .into_iter()
            .map(|(name, rule)| self.watch_rule(name, rule, &names, &plans))
            .collect();
        self.check_use(&file.channel, &rules);
        WatchRules::new(rules, channels, time_zone)
    }

    fn watch_rule(
        &mut self,
        name: &Spanned<String>,
        rule: &raw::Watch,
        channels: &[&str],
        plans: &[&str],
    ) -> WatchRule {
        self.name("watch", name);
        let trigger = self.trigger(rule);
        let is_taken = |other: &Trigger| *other != trigger && other.name() == name.value;
        if Trigger::BY_DEFAULT.iter().any(is_taken) {
            self.error(
                &name.place,
                format!("the rule for `{}` that there is by default has this name", name.value),
            )
            .help("choose another name");
        }
        self.check_fit(rule, trigger);
        WatchRule {
            name: name.value.clone(),
            on: self.watched_operations(rule),
            plans: self.listed(rule.plans.as_ref(), plans, "plan"),
            applications: texts(rule.applications.as_ref()),
            keys: texts(rule.keys.as_ref()),
            outcomes: outcomes(rule.outcome.as_ref()),
            tell: self.receivers(name, rule, channels),
            window: self.window(rule),
            quiet: self.quiet(rule),
            levels: self.levels(rule, trigger),
            trigger,
        }
    }

    fn trigger(&mut self, rule: &raw::Watch) -> Trigger {
        let event = rule.event.as_ref().map_or(WatchEvent::Write, |event| event.value);
        if let Some(levels) = &rule.levels
            && !matches!(event, WatchEvent::BudgetLevel)
        {
            self.error(&levels.place, "only `event = \"budget_level\"` has levels")
                .help("leave out `levels`, or change the event");
        }
        match event {
            WatchEvent::Write => Trigger::Write,
            WatchEvent::FirstWriteOfKey => Trigger::FirstWriteOfKey,
            WatchEvent::FirstWriteOfOperation => Trigger::FirstWriteOfOperation,
            WatchEvent::BudgetLevel => Trigger::BudgetLevel,
            WatchEvent::KeyLocked => Trigger::KeyLocked,
            WatchEvent::KeyUnlocked => Trigger::KeyUnlocked,
            WatchEvent::WriteUnknown => Trigger::WriteUnknown,
            WatchEvent::RefusalBurst => Trigger::RefusalBurst,
            WatchEvent::StorageFailure => Trigger::StorageFailure,
            WatchEvent::DeliveryFailed => Trigger::DeliveryFailed,
        }
    }

    fn levels(&mut self, rule: &raw::Watch, trigger: Trigger) -> Vec<u8> {
        if !trigger.takes(Condition::Levels) {
            return Vec::new();
        }
        let Some(setting) = &rule.levels else {
            return LEVELS.to_vec();
        };
        if setting.values.is_empty() {
            self.error(&setting.place, "without a level nothing is ever told")
                .help("write levels = [50, 80, 100]");
        }
        let mut levels = Vec::new();
        for level in &setting.values {
            match u8::try_from(level.value) {
                Ok(percent @ 1..=100) => levels.push(percent),
                Ok(_) | Err(_) => {
                    self.error(&level.place, "a level is a share in percent, from 1 to 100");
                }
            }
        }
        levels.sort_unstable();
        levels.dedup();
        levels
    }

    /// Keys that say nothing for an event would look as if they held.
    fn check_fit(&mut self, rule: &raw::Watch, kind: Trigger) {
        let place = |setting: &Option<OneOrMany<String>>| setting.as_ref().map(|s| s.place.clone());
        let outcome = rule.outcome.as_ref().map(|outcome| outcome.place.clone());
        let said = [
            ("on", Condition::Operations, place(&rule.on)),
            // Says that the event names the outcome already, where it does.
            ("outcome", Condition::Operations, outcome),
            ("plans", Condition::Keys, place(&rule.plans)),
            ("applications", Condition::Keys, place(&rule.applications)),
            ("keys", Condition::Keys, place(&rule.keys)),
        ];
        let useless = said.into_iter().filter(|(_, condition, _)| !kind.takes(*condition));
        for (key, _, place) in useless {
            let Some(place) = place else { continue };
            self.error(&place, format!("`{key}` says nothing for the event \"{}\"", kind.name()))
                .help(format!("leave out `{key}`, or change the event"));
        }
        if !kind.takes(Condition::Outcomes)
            && kind.is_of_writes()
            && let Some(outcome) = &rule.outcome
        {
            self.error(&outcome.place, "the event \"write_unknown\" names the outcome already")
                .help("leave out `outcome`");
        }
    }

    fn watched_operations(&mut self, rule: &raw::Watch) -> Vec<ScopedPattern> {
        let setting = rule.on.as_ref();
        if let Some(empty) = setting.filter(|on| on.values.is_empty()) {
            self.error(&empty.place, "`on` is empty, so this rule would watch nothing")
                .help("leave out `on` to watch every write");
        }
        for text in setting.iter().flat_map(|on| &on.values) {
            let pattern = text.value.parse::<ScopedPattern>();
            let is_read = |pattern: &ScopedPattern| {
                let methods = pattern.pattern.methods();
                !methods.is_empty() && methods.iter().all(is_safe)
            };
            if pattern.is_ok_and(|pattern| is_read(&pattern)) {
                self.warning(&text.place, "this names reads, and only writes are told")
                    .help("an operation with treat_as = \"write\" is told all the same");
            }
        }
        self.scoped_patterns(setting)
    }

    /// Names that must exist.
    fn listed(
        &mut self,
        setting: Option<&OneOrMany<String>>,
        known: &[&str],
        what: &str,
    ) -> Vec<String> {
        for name in setting.iter().flat_map(|setting| &setting.values) {
            if known.contains(&name.value.as_str()) || self.is_lost(&[what, &name.value]) {
                continue;
            }
            let help = match closest(&name.value, known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if known.is_empty() => format!("write a [{what}.{}] first", name.value),
                None => format!("write {}", either(known.iter().copied())),
            };
            self.error(&name.place, format!("no {what} is named {:?}", name.value)).help(help);
        }
        texts(setting)
    }

    /// The channels that a rule notifies.
    fn receivers(
        &mut self,
        name: &Spanned<String>,
        rule: &raw::Watch,
        channels: &[&str],
    ) -> Vec<String> {
        if rule.tell.is_none() && !self.is_lost(&["watch", &name.value, "tell"]) {
            let channel = channels.first().copied().unwrap_or("owner-mail");
            self.error(&name.place, format!("[watch.{}] does not say whom it tells", name.value))
                .help(format!("write tell = [{channel:?}], or tell = [] where nobody is meant"));
        }
        self.listed(rule.tell.as_ref(), channels, "channel")
    }

    fn window(&mut self, rule: &raw::Watch) -> Span {
        let window = self.span(rule.window.as_ref(), WINDOW, DAY);
        if let Some(setting) = rule.window.as_ref().filter(|_| window < WINDOW_MIN) {
            self.error(&setting.place, format!("{:?} is too short", setting.value))
                .help(format!("it is at least \"{WINDOW_MIN}\""));
        }
        window
    }

    fn quiet(
        &mut self,
        rule: &raw::Watch,
    ) -> Option<keystile_core::notifications::quiet_hours::QuietHours> {
        let setting = rule.quiet.as_ref()?;
        match setting.value.parse() {
            Ok(quiet) => Some(quiet),
            Err(error) => {
                self.error(&setting.place, format!("{error}"));
                None
            }
        }
    }

    /// A channel on which nothing is ever told is probably not meant.
    fn check_use(
        &mut self,
        channels: &BTreeMap<Spanned<String>, raw::Channel>,
        rules: &[WatchRule],
    ) {
        let is_replaced = |kind: &Trigger| rules.iter().any(|rule| rule.trigger == *kind);
        if !Trigger::BY_DEFAULT.iter().all(is_replaced) {
            return;
        }
        for name in channels.keys() {
            if !rules.iter().any(|rule| rule.tell.contains(&name.value)) {
                self.warning(&name.place, format!("nothing is ever told on `{}`", name.value))
                    .help("name it in `tell` of a rule");
            }
        }
    }
}

fn texts(setting: Option<&OneOrMany<String>>) -> Vec<String> {
    setting.iter().flat_map(|setting| &setting.values).map(|text| text.value.clone()).collect()
}

fn outcomes(setting: Option<&OneOrMany<WatchOutcome>>) -> Vec<Outcome> {
    let outcome = |outcome: &Spanned<WatchOutcome>| match outcome.value {
        WatchOutcome::Applied => Outcome::Applied,
        WatchOutcome::RefusedByUpstream => Outcome::RefusedByUpstream,
        WatchOutcome::NotSent => Outcome::NotSent,
        WatchOutcome::Unknown => Outcome::Unknown,
        WatchOutcome::Refused => Outcome::Refused,
        WatchOutcome::HandedOver => Outcome::HandedOver,
    };
    setting.iter().flat_map(|setting| &setting.values).map(outcome).collect()
}
