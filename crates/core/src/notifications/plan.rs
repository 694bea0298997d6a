//! Planning: from events to messages, and to what windows count from then on.
//!
//! # What this protects
//!
//! Every event that a rule waits for is in a message, or in the count of an open window, exactly once; and
//! what may not wait is in a message, whatever the hour and however full a channel is (promise P6).
//!
//! # How
//!
//! Whoever keeps windows loads a [`State`] of the channels that [`routes`] names, asks for a [`Plan`] and
//! saves what it says, in the transaction that made the event true. Nothing here reads or writes anything.
//!
//! # Not here
//!
//! Which rules wait for an event ([`WatchRules`]), when a window takes an event ([`digest`]), and what
//! messages say.

use std::collections::{BTreeMap, BTreeSet};

use crate::notifications::channel::ChannelRule;
use crate::notifications::digest::{
    self, Conditions, DigestCounts, Disposition, Occurrence, Urgency, Window,
};
use crate::notifications::trigger::Trigger;
use crate::notifications::watch::{WINDOW, WatchRule, WatchRules};
use crate::time::{Span, Timestamp};

/// A channel carries so many messages within this time.
const HOUR: Span = Span::from_secs(3_600);

/// Something that happened, for rules that wait for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// What it is.
    pub trigger: Trigger,
    /// The rules that wait for it: places in [`WatchRules::rules`], rising.
    pub rules: Vec<usize>,
    /// Who caused it, how many it stands for, and what says more.
    pub occurrence: Occurrence,
    /// What its messages belong together with; those of a burst, where `None`.
    pub thread: Option<String>,
    /// A channel that does not hear of it: the one that failed.
    pub except: Option<String>,
}

/// Where events go: the place of a rule, and the channel that it names. Each channel hears of an event once,
/// by the first rule that names it.
pub fn routes<'r>(rules: &'r WatchRules, event: &Event) -> Vec<(usize, &'r ChannelRule)> {
    let mut heard = BTreeSet::new();
    let mut routes = Vec::new();
    for place in &event.rules {
        let names = rules.rules()[*place].tell.iter();
        for channel in names.filter_map(|name| rules.channel(name)) {
            let is_out = event.except.as_ref() == Some(&channel.name);
            if !is_out && heard.insert(channel.name.as_str()) {
                routes.push((*place, channel));
            }
        }
    }
    routes
}

/// The window of a rule on a channel, with what its digest needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpenWindow {
    /// What it counts; `None` where none is open.
    pub window: Option<Window>,
    /// What belongs together: everything of one burst.
    pub thread: String,
    /// What it counts events of.
    pub trigger: Option<Trigger>,
}

impl OpenWindow {
    /// Whether it takes the next event, so that nothing else matters.
    pub fn is_counting(&self, now: Timestamp) -> bool {
        self.window.as_ref().is_some_and(|open| now < open.until || open.counts.count > 0)
    }

    /// Places an event; a burst that begins gets a thread of its own.
    fn place(&mut self, rule: &WatchRule, event: &Event, conditions: &Conditions) -> Disposition {
        let opened = |window: &Option<Window>| window.as_ref().map(|window| window.opened);
        let before = opened(&self.window);
        let urgency = event.trigger.urgency();
        let placed = digest::place(&mut self.window, &event.occurrence, urgency, conditions);
        self.trigger = Some(event.trigger);
        if before != opened(&self.window) || self.thread.is_empty() {
            self.thread = format!("{}-{}", rule.name, conditions.now.0);
        }
        placed
    }
}

/// What is known of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelState {
    /// When it carried its latest messages, earliest first: as many as it carries in an hour suffice.
    pub sent: Vec<Timestamp>,
    /// What the other side said when it went.
    pub gone: Option<String>,
    /// The subscribed devices, for a channel whose receivers they are.
    pub devices: Vec<String>,
    /// Receivers that take no more digests, each with the rule.
    pub stops: Vec<(String, String)>,
}

impl ChannelState {
    /// When a channel that has carried its hour's messages has room again.
    fn full_until(&self, channel: &ChannelRule, now: Timestamp) -> Option<Timestamp> {
        let before = usize::try_from(channel.per_hour_max.saturating_sub(1)).unwrap_or(usize::MAX);
        let first = self.sent.iter().rev().nth(before)?;
        Some(first.plus(HOUR)).filter(|until| *until > now)
    }
}

/// What is stored that a plan depends on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Windows by rule and channel; one that is missing is not open.
    pub windows: BTreeMap<(String, String), OpenWindow>,
    /// Channels by name; of one that is missing nothing is known.
    pub channels: BTreeMap<String, ChannelState>,
}

/// A message to write, one delivery for each receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message<'r> {
    /// The rule by which it is sent.
    pub rule: String,
    /// The channel.
    pub channel: &'r ChannelRule,
    /// What it belongs together with.
    pub thread: String,
    /// Its receivers: several by name, or one that needs none.
    pub to: Vec<Option<String>>,
    /// Why it cannot arrive; it stands in the log as failed then.
    pub hopeless: Option<String>,
    /// What it is about.
    pub content: Content,
}

/// What a message is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// One of the events that were planned, by its place among them.
    Event(usize),
    /// Several events of one window.
    Digest {
        /// What they are.
        trigger: Trigger,
        /// Since when they are counted.
        since: Timestamp,
        /// How many, whose, and the latest.
        counts: DigestCounts,
    },
    /// That the channel works.
    Test,
}

/// What follows from events or from the time.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan<'r> {
    /// Messages to write, in this order.
    pub messages: Vec<Message<'r>>,
    /// All windows of the state as they are from now on; one without a window is closed.
    pub windows: BTreeMap<(String, String), OpenWindow>,
    /// Channels that the configuration has no more, and with them what their windows had counted.
    pub lost: Vec<String>,
}

/// What follows from events, each after the other.
pub fn plan<'r>(rules: &'r WatchRules, events: &[Event], state: State, now: Timestamp) -> Plan<'r> {
    let mut planner = Planner { rules, state, now, messages: Vec::new() };
    for (place, event) in events.iter().enumerate() {
        for (rule, channel) in routes(rules, event) {
            planner.place(place, event, &rules.rules()[rule], channel);
        }
    }
    planner.done()
}

/// What follows from windows that are due, each of which becomes one message. One whose rule is gone ends
/// with what it has; one whose channel is gone has nobody to notify.
pub fn close_digests(rules: &WatchRules, state: State, now: Timestamp) -> Plan<'_> {
    let mut planner = Planner { rules, state, now, messages: Vec::new() };
    let due: Vec<_> = planner.state.windows.keys().cloned().collect();
    let mut lost = Vec::new();
    for (rule, name) in due {
        if let Some(channel) = rules.channel(&name) {
            planner.close(&rule, channel);
        } else {
            planner.state.windows.insert((rule, name.clone()), OpenWindow::default());
            lost.push(name);
        }
    }
    Plan { lost, ..planner.done() }
}

/// A message that tries a channel, or one device of it. It finds out whether a side that went is there again.
pub fn test<'r>(
    channel: &'r ChannelRule,
    device: Option<String>,
    state: &ChannelState,
    now: Timestamp,
) -> Message<'r> {
    let rule = Trigger::Test.name();
    let (to, hopeless) = match device {
        Some(device) => (vec![Some(device)], None),
        None => receivers(rule, channel, state, &Content::Test),
    };
    let thread = format!("{rule}-{}", now.0);
    Message { rule: rule.to_owned(), channel, thread, to, hopeless, content: Content::Test }
}

/// Who receives a message, and why it cannot arrive, where it cannot.
fn receivers(
    rule: &str,
    channel: &ChannelRule,
    state: &ChannelState,
    content: &Content,
) -> (Vec<Option<String>>, Option<String>) {
    let mut to = channel.spec.receivers(&state.devices);
    // One that stands in the log as failed tells the owner that there is nobody.
    if to.is_empty() {
        return (vec![None], Some("no device is subscribed".to_owned()));
    }
    let off = |said: &String| format!("the channel is off, because its other side said: {said}");
    match content {
        Content::Test => return (to, None),
        Content::Event(_) => {}
        // What begins a burst goes to everybody, also where it had to wait and comes as a digest.
        Content::Digest { counts, .. } if !counts.is_sequel => {}
        Content::Digest { .. } => to.retain(|receiver| {
            let has_stopped = |stop: &(String, String)| {
                stop.0 == rule && Some(stop.1.as_str()) == receiver.as_deref()
            };
            !state.stops.iter().any(has_stopped)
        }),
    }
    (to, state.gone.as_ref().map(off))
}

struct Planner<'r> {
    rules: &'r WatchRules,
    state: State,
    now: Timestamp,
    messages: Vec<Message<'r>>,
}

impl<'r> Planner<'r> {
    fn place(&mut self, at: usize, event: &Event, rule: &WatchRule, channel: &'r ChannelRule) {
        let thread = match event.trigger.urgency() {
            Urgency::AtOnce => rule.name.clone(),
            Urgency::Grouped => {
                let conditions = self.conditions(Some(rule), channel);
                let window = (rule.name.clone(), channel.name.clone());
                let open = self.state.windows.entry(window).or_default();
                match open.place(rule, event, &conditions) {
                    Disposition::Buffered => return,
                    Disposition::SendNow => open.thread.clone(),
                }
            }
        };
        let thread = event.thread.clone().unwrap_or(thread);
        self.send(&rule.name, channel, thread, Content::Event(at));
    }

    fn close(&mut self, rule: &str, channel: &'r ChannelRule) {
        let conditions = self.conditions(self.rules.rule(rule), channel);
        let open = self.state.windows.entry((rule.to_owned(), channel.name.clone())).or_default();
        let Some((since, counts)) = digest::close(&mut open.window, &conditions) else {
            return;
        };
        let trigger = open.trigger.unwrap_or(Trigger::Write);
        let thread = open.thread.clone();
        self.send(rule, channel, thread, Content::Digest { trigger, since, counts });
    }

    /// What holds for a rule on a channel now.
    fn conditions(&self, rule: Option<&WatchRule>, channel: &ChannelRule) -> Conditions {
        let now = self.now;
        let known = self.state.channels.get(&channel.name);
        Conditions {
            now,
            span: rule.map_or(WINDOW, |rule| rule.window),
            quiet_until: rule.and_then(|rule| self.rules.quiet_until(rule, now)),
            full_until: known.and_then(|known| known.full_until(channel, now)),
        }
    }

    fn send(&mut self, rule: &str, channel: &'r ChannelRule, thread: String, content: Content) {
        let known = self.state.channels.entry(channel.name.clone()).or_default();
        let (to, hopeless) = receivers(rule, channel, known, &content);
        if to.is_empty() {
            return;
        }
        known.sent.push(self.now);
        let rule = rule.to_owned();
        self.messages.push(Message { rule, channel, thread, to, hopeless, content });
    }

    fn done(self) -> Plan<'r> {
        Plan { messages: self.messages, windows: self.state.windows, lost: Vec::new() }
    }
}

/// A level of a write budget of which a rule has notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotedLevel {
    /// In percent.
    pub level: u8,
    /// When the budget's window has passed since.
    pub until: Timestamp,
}

impl NotedLevel {
    /// Whether a level is news: once per window, unless a higher one is reached in it.
    pub fn is_news(last: Option<Self>, level: u8, now: Timestamp) -> bool {
        last.is_none_or(|last| last.level < level || last.until <= now)
    }
}

#[cfg(test)]
mod tests;
