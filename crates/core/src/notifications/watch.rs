//! Watch rules: of which events owners are notified, and on which channels.
//!
//! # How
//!
//! A [`WatchRules`] is all rules and channels of one configuration, ready to be asked. Some events notify
//! every channel unless a rule names them: nobody should learn from silence that keys lock, that the
//! store fails, or that messages do not arrive. A rule that names such an event takes the place of that
//! default, and one that notifies nobody (`tell = []`) turns it off.
//!
//! Where several rules name one channel for one event, the first of the file counts.

use std::borrow::Cow;

use http::Method;
use jiff::tz::TimeZone;

use crate::journal::Outcome;
use crate::notifications::channel::ChannelRule;
use crate::notifications::quiet_hours::QuietHours;
use crate::notifications::trigger::Trigger;
use crate::policy::operation::{OperationPattern, ScopedPattern};
use crate::policy::template::TemplateIndex;
use crate::request::grammar::fold_path;
use crate::time::{Span, Timestamp};

/// The first window of a rule that does not say another.
pub const WINDOW: Span = Span::from_secs(300);

/// Everything that the configuration says of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchRule {
    /// Its name.
    pub name: String,
    /// What it waits for.
    pub trigger: Trigger,
    /// For budget levels: the shares in percent, rising.
    pub levels: Vec<u8>,
    /// The operations that it watches; all where empty.
    pub on: Vec<ScopedPattern>,
    /// Only keys on these plans; all where empty.
    pub plans: Vec<String>,
    /// Only keys of these applications; all where empty.
    pub applications: Vec<String>,
    /// Only these keys, by id or recognizable beginning; all where empty.
    pub keys: Vec<String>,
    /// Only writes that ended like this; those that were sent where empty.
    pub outcomes: Vec<Outcome>,
    /// The channels on which it tells.
    pub tell: Vec<String>,
    /// Its first window.
    pub window: Span,
    /// When nothing is told that can wait.
    pub quiet: Option<QuietHours>,
}

impl WatchRule {
    /// A rule that names nothing but what it waits for.
    pub fn new(name: &str, trigger: Trigger, tell: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            trigger,
            levels: Vec::new(),
            on: Vec::new(),
            plans: Vec::new(),
            applications: Vec::new(),
            keys: Vec::new(),
            outcomes: Vec::new(),
            tell,
            window: WINDOW,
            quiet: None,
        }
    }

    fn fits_key(&self, key: &KeyFacts<'_>) -> bool {
        let is_named = |names: &[String], known: &[Option<&str>]| {
            names.is_empty() || names.iter().any(|name| known.contains(&Some(name.as_str())))
        };
        is_named(&self.plans, &[key.plan])
            && is_named(&self.applications, &[key.application])
            && is_named(&self.keys, &[key.id, key.prefix])
    }

    /// Whether a write that ended, or has not yet, is one that it waits for.
    pub fn fits_outcome(&self, outcome: Outcome) -> bool {
        if !self.outcomes.is_empty() {
            return self.outcomes.contains(&outcome);
        }
        match (self.trigger, outcome) {
            (Trigger::WriteUnknown, outcome) => outcome == Outcome::Unknown,
            (_, Outcome::NotSent | Outcome::Refused) => false,
            (
                _,
                Outcome::Pending
                | Outcome::Applied
                | Outcome::RefusedByUpstream
                | Outcome::Unknown
                | Outcome::HandedOver,
            ) => true,
        }
    }

    /// Whether what became of a write decides about it.
    pub fn needs_outcome(&self) -> bool {
        !self.outcomes.is_empty() || self.trigger == Trigger::WriteUnknown
    }
}

/// What rules look at in a key. Nothing is known of callers without one but their plan.
#[derive(Clone, Copy, Debug, Default)]
pub struct KeyFacts<'a> {
    pub id: Option<&'a str>,
    /// Its recognizable beginning.
    pub prefix: Option<&'a str>,
    /// Its application's name.
    pub application: Option<&'a str>,
    /// The plan that applied.
    pub plan: Option<&'a str>,
}

/// What rules look at in a write.
#[derive(Clone, Copy, Debug)]
pub struct WriteFacts<'a> {
    /// The API's name.
    pub api: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// Whose it is.
    pub key: KeyFacts<'a>,
}

/// All rules and channels of one configuration.
#[derive(Debug)]
pub struct WatchRules {
    rules: Vec<WatchRule>,
    channels: Vec<ChannelRule>,
    time_zone: TimeZone,
    /// Every pattern of every rule, with the rule's place and the API.
    patterns: Vec<(usize, String, OperationPattern)>,
    exact: TemplateIndex,
    folded: TemplateIndex,
    /// The rules that wait for records of the journal.
    of_writes: Vec<usize>,
    /// The lowest share of a budget that any rule waits for.
    lowest_level: Option<u8>,
}

impl Default for WatchRules {
    fn default() -> Self {
        Self::new(Vec::new(), Vec::new(), TimeZone::UTC)
    }
}

impl WatchRules {
    /// Prepares rules, in the order of the file, and channels; adds the rules that there are by default.
    pub fn new(mut rules: Vec<WatchRule>, channels: Vec<ChannelRule>, time_zone: TimeZone) -> Self {
        let every = || channels.iter().map(|channel| channel.name.clone()).collect::<Vec<_>>();
        for trigger in Trigger::BY_DEFAULT {
            if !rules.iter().any(|rule| rule.trigger == trigger) {
                rules.push(WatchRule::new(trigger.name(), trigger, every()));
            }
        }
        let patterns: Vec<_> = rules
            .iter()
            .enumerate()
            .flat_map(|(place, rule)| rule.on.iter().map(move |scoped| (place, scoped)))
            .map(|(place, scoped)| (place, scoped.api.clone(), scoped.pattern.clone()))
            .collect();
        let templates = || patterns.iter().map(|(_, _, pattern)| pattern.template());
        let tells = |rule: &WatchRule| !rule.tell.is_empty();
        let of_writes = (0..rules.len())
            .filter(|place| tells(&rules[*place]) && rules[*place].trigger.is_of_writes());
        let levels =
            rules.iter().filter(|rule| tells(rule)).flat_map(|rule| rule.levels.iter().copied());
        Self {
            exact: TemplateIndex::exact(templates()),
            folded: TemplateIndex::folded(templates()),
            of_writes: of_writes.collect(),
            lowest_level: levels.min(),
            patterns,
            rules,
            channels,
            time_zone,
        }
    }

    /// The rules, those that there are by default last.
    pub fn rules(&self) -> &[WatchRule] {
        &self.rules
    }

    /// The channels, in the order of the file.
    pub fn channels(&self) -> &[ChannelRule] {
        &self.channels
    }

    /// A channel by its name.
    pub fn channel(&self, name: &str) -> Option<&ChannelRule> {
        self.channels.iter().find(|channel| channel.name == name)
    }

    /// A rule by its name.
    pub fn rule(&self, name: &str) -> Option<&WatchRule> {
        self.rules.iter().find(|rule| rule.name == name)
    }

    /// Whether any rule waits for records of the journal.
    pub fn watches_writes(&self) -> bool {
        !self.of_writes.is_empty()
    }

    /// The lowest share of a budget that any rule waits for, in percent.
    pub fn lowest_level(&self) -> Option<u8> {
        self.lowest_level
    }

    /// Whether any rule names applications or keys.
    pub fn names_keys(&self) -> bool {
        self.rules.iter().any(|rule| !rule.applications.is_empty() || !rule.keys.is_empty())
    }

    /// When the quiet of a rule ends, if it is quiet.
    pub fn quiet_until(&self, rule: &WatchRule, now: Timestamp) -> Option<Timestamp> {
        rule.quiet.and_then(|quiet| quiet.quiet_until(now, &self.time_zone))
    }

    /// The rules that watch the operation and the caller of a write, whatever becomes of it. Either form of
    /// the path is watched. With each comes its place in [`WatchRules::rules`].
    pub fn of_write(&self, write: &WriteFacts<'_>) -> impl Iterator<Item = (usize, &WatchRule)> {
        let mut met = vec![false; if self.patterns.is_empty() { 0 } else { self.rules.len() }];
        if !self.patterns.is_empty()
            && let Ok(method) = Method::from_bytes(write.method.as_bytes())
        {
            let folded: Cow<'_, str> = fold_path(write.path);
            let mut found = self.exact.matches(write.path);
            found.union_with(&self.folded.matches(&folded));
            for index in found.iter() {
                let (place, api, pattern) = &self.patterns[index];
                if (api == "*" || api == write.api) && pattern.has_method(&method) {
                    met[*place] = true;
                }
            }
        }
        let key = write.key;
        self.of_writes.iter().filter_map(move |place| {
            let rule = &self.rules[*place];
            let is_met = rule.on.is_empty() || met.get(*place).copied().unwrap_or(false);
            (is_met && rule.fits_key(&key)).then_some((*place, rule))
        })
    }

    /// The rules that wait for an event, with their places in [`WatchRules::rules`]. An event that concerns
    /// no key is one of every rule, whomever that names.
    pub fn waiting_for(
        &self,
        trigger: Trigger,
        key: Option<KeyFacts<'_>>,
    ) -> impl Iterator<Item = (usize, &WatchRule)> {
        self.rules.iter().enumerate().filter(move |(_, rule)| {
            rule.trigger == trigger
                && !rule.tell.is_empty()
                && key.is_none_or(|key| rule.fits_key(&key))
        })
    }
}

impl WatchRule {
    /// The highest level that a budget reaches with a write which it did not reach before; `None` where
    /// the write reaches none.
    pub fn level_reached(&self, amount: u32, before: u64, after: u64) -> Option<u8> {
        let reaches = |used: u64, level: u8| used * 100 >= u64::from(amount) * u64::from(level);
        self.levels
            .iter()
            .copied()
            .filter(|level| amount > 0 && reaches(after, *level) && !reaches(before, *level))
            .max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Outcome::{
        Applied, HandedOver, NotSent, Pending, RefusedByUpstream, Unknown,
    };
    use crate::notifications::channel::{Audience, ChannelSettings, ChannelSpec};

    fn channel(name: &str) -> ChannelRule {
        ChannelRule {
            name: name.to_owned(),
            spec: ChannelSpec::new(
                "web_push",
                String::new(),
                Audience::Devices,
                ChannelSettings::default(),
            ),
            per_hour_max: 60,
            allowed_networks: Vec::new(),
        }
    }

    fn rule(name: &str, on: &[&str]) -> WatchRule {
        let on = on.iter().map(|pattern| pattern.parse().unwrap()).collect();
        WatchRule { on, ..WatchRule::new(name, Trigger::Write, vec!["phone".to_owned()]) }
    }

    fn watching(rules: Vec<WatchRule>) -> WatchRules {
        WatchRules::new(rules, vec![channel("phone"), channel("mail")], TimeZone::UTC)
    }

    fn met(watching: &WatchRules, method: &str, path: &str, key: KeyFacts<'_>) -> Vec<String> {
        let write = WriteFacts { api: "b", method, path, key };
        watching.of_write(&write).map(|(_, rule)| rule.name.clone()).collect()
    }

    #[test]
    fn a_rule_watches_its_operations_in_either_form_of_the_path() {
        let watching = watching(vec![
            rule("deletes", &["b: DELETE *", "b: PUT /x/{id}"]),
            rule("other", &["c: *"]),
            rule("all", &[]),
        ]);
        let key = KeyFacts::default();
        assert_eq!(met(&watching, "DELETE", "/y", key), ["deletes", "all"]);
        assert_eq!(met(&watching, "PUT", "/X/7/", key), ["deletes", "all"]);
        assert_eq!(met(&watching, "POST", "/x/7", key), ["all"]);
    }

    #[test]
    fn a_rule_may_name_plans_applications_and_keys() {
        let plans = WatchRule { plans: vec!["open".to_owned()], ..rule("plans", &[]) };
        let keys = WatchRule { keys: vec!["ks_1".to_owned()], ..rule("keys", &[]) };
        let both = WatchRule { applications: vec!["ben".to_owned()], ..plans.clone() };
        let watching = watching(vec![plans, keys, WatchRule { name: "both".to_owned(), ..both }]);
        let key = KeyFacts {
            id: Some("key_1"),
            prefix: Some("ks_1"),
            application: Some("ben"),
            plan: Some("open"),
        };
        assert_eq!(met(&watching, "PUT", "/", key), ["plans", "keys", "both"]);
        let other = KeyFacts { application: Some("ada"), prefix: None, ..key };
        assert_eq!(met(&watching, "PUT", "/", other), ["plans"]);
        assert!(met(&watching, "PUT", "/", KeyFacts::default()).is_empty());
    }

    #[test]
    fn locks_are_told_on_every_channel_unless_the_owner_says_otherwise() {
        let told = |watching: &WatchRules| {
            watching
                .waiting_for(Trigger::KeyLocked, None)
                .flat_map(|(_, rule)| rule.tell.clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&watching(Vec::new())), ["phone", "mail"]);
        let only = WatchRule::new("locks", Trigger::KeyLocked, vec!["mail".to_owned()]);
        assert_eq!(told(&watching(vec![only])), ["mail"]);
        let nobody = WatchRule::new("locks", Trigger::KeyLocked, Vec::new());
        assert!(told(&watching(vec![nobody])).is_empty());
        assert_eq!(watching(Vec::new()).rules().len(), 3);
    }

    #[test]
    fn only_the_highest_level_that_a_write_reaches_is_told() {
        let rule = WatchRule {
            levels: vec![50, 80, 100],
            ..WatchRule::new("near", Trigger::BudgetLevel, Vec::new())
        };
        assert_eq!(rule.level_reached(20, 9, 10), Some(50));
        assert_eq!(rule.level_reached(20, 10, 11), None);
        assert_eq!(rule.level_reached(20, 3, 17), Some(80));
        assert_eq!(rule.level_reached(20, 19, 20), Some(100));
        assert_eq!(rule.level_reached(0, 0, 0), None);
        assert_eq!(rule.level_reached(3, 1, 2), Some(50));
    }

    #[test]
    fn what_was_not_sent_or_refused_is_told_only_where_the_rule_says_so() {
        let mut rule = rule("r", &[]);
        let told = |rule: &WatchRule| {
            Outcome::ALL
                .into_iter()
                .filter(|outcome| rule.fits_outcome(*outcome))
                .collect::<Vec<_>>()
        };
        assert_eq!(told(&rule), [Pending, Applied, RefusedByUpstream, Unknown, HandedOver]);
        rule.outcomes = vec![NotSent];
        assert_eq!(told(&rule), [NotSent]);
        let unknown = WatchRule::new("u", Trigger::WriteUnknown, Vec::new());
        assert_eq!(told(&unknown), [Unknown]);
        assert!(unknown.needs_outcome() && rule.needs_outcome());
    }
}
