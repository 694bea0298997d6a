use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::notifications::channel::{Audience, ChannelSettings, ChannelSpec};

const MINUTE: i64 = 60_000;
const NIGHT: Timestamp = Timestamp(23 * 60 * MINUTE);

fn channel(name: &str, kind: &'static str, audience: Audience) -> ChannelRule {
    let spec = ChannelSpec::new(kind, String::new(), audience, ChannelSettings::default());
    ChannelRule { name: name.to_owned(), spec, per_hour_max: 3, allowed_networks: Vec::new() }
}

fn hook(name: &str) -> ChannelRule {
    channel(name, "webhook", Audience::One)
}

fn mail(to: &[&str]) -> ChannelRule {
    let to = to.iter().map(|to| (*to).to_owned()).collect();
    channel("mail", "email", Audience::Addresses(to))
}

fn rule(name: &str, trigger: Trigger, tell: &[&str]) -> WatchRule {
    WatchRule::new(name, trigger, tell.iter().map(|name| (*name).to_owned()).collect())
}

fn rules(rules: Vec<WatchRule>, channels: Vec<ChannelRule>) -> WatchRules {
    WatchRules::new(rules, channels, TimeZone::UTC)
}

fn event(rules: &WatchRules, trigger: Trigger) -> Event {
    Event {
        trigger,
        rules: rules.waiting_for(trigger, None).map(|(place, _)| place).collect(),
        occurrence: Occurrence { subject: 7, count: 1, sample: 1 },
        thread: None,
        except: None,
    }
}

/// Where messages go, as in `mail: a@example.org`.
fn sent(plan: &Plan<'_>) -> Vec<String> {
    let receivers = |message: &Message<'_>| {
        let name = message.channel.name.clone();
        let to = message.to.iter().map(|to| to.clone().unwrap_or_default());
        format!("{name}: {}", to.collect::<Vec<_>>().join(" ")).trim_end().to_owned()
    };
    plan.messages.iter().map(receivers).collect()
}

fn state(windows: BTreeMap<(String, String), OpenWindow>) -> State {
    State { windows, ..State::default() }
}

#[test]
fn each_channel_hears_of_an_event_once_by_the_first_rule_that_names_it() {
    let first = rule("first", Trigger::KeyUnlocked, &["two", "nowhere"]);
    let second = rule("second", Trigger::KeyUnlocked, &["one", "two"]);
    let rules = rules(vec![first, second], vec![hook("one"), hook("two")]);
    let mut unlocked = event(&rules, Trigger::KeyUnlocked);
    let plan = plan(&rules, &[unlocked.clone()], State::default(), NIGHT);
    let by: Vec<_> = plan.messages.iter().map(|message| message.rule.as_str()).collect();
    assert_eq!(
        (sent(&plan), by),
        (vec!["two:".to_owned(), "one:".to_owned()], vec!["first", "second"])
    );
    unlocked.except = Some("two".to_owned());
    assert_eq!(sent(&super::plan(&rules, &[unlocked], State::default(), NIGHT)), ["one:"]);
}

#[test]
fn an_event_that_no_rule_waits_for_changes_nothing() {
    let rules = rules(Vec::new(), vec![hook("one")]);
    let unlocked = event(&rules, Trigger::KeyUnlocked);
    assert_eq!(plan(&rules, &[unlocked], State::default(), NIGHT), Plan::default());
}

#[test]
fn receivers_are_those_of_the_kind_of_channel() {
    let phone = channel("phone", "web_push", Audience::Devices);
    let channels = vec![mail(&["a@example.org", "b@example.org"]), phone, hook("hook")];
    let rules = rules(Vec::new(), channels);
    let locked = || [event(&rules, Trigger::KeyLocked)];
    let nobody = plan(&rules, &locked(), State::default(), NIGHT);
    assert_eq!(sent(&nobody), ["mail: a@example.org b@example.org", "phone:", "hook:"]);
    let hopeless: Vec<_> = nobody.messages.iter().map(|m| m.hopeless.as_deref()).collect();
    assert_eq!(hopeless, [None, Some("no device is subscribed"), None]);
    let mut known = State::default();
    let devices = vec!["device_1".to_owned(), "device_2".to_owned()];
    known.channels.insert("phone".to_owned(), ChannelState { devices, ..ChannelState::default() });
    assert_eq!(sent(&plan(&rules, &locked(), known, NIGHT))[1], "phone: device_1 device_2");
}

#[test]
fn a_channel_that_is_gone_fails_at_once_until_a_test_arrives() {
    let rules = rules(Vec::new(), vec![hook("one")]);
    let gone = ChannelState { gone: Some("410 Gone".to_owned()), ..ChannelState::default() };
    let known = State { channels: [("one".to_owned(), gone.clone())].into(), ..State::default() };
    let plan = plan(&rules, &[event(&rules, Trigger::KeyLocked)], known, NIGHT);
    assert!(plan.messages[0].hopeless.as_ref().unwrap().contains("410 Gone"));
    assert_eq!(test(&rules.channels()[0], None, &gone, NIGHT).hopeless, None);
}

#[test]
fn a_lock_waits_neither_for_quiet_hours_nor_for_a_full_channel_nor_for_a_digest() {
    let quiet = Some("22:00-07:00".parse().unwrap());
    let locks = WatchRule { quiet, ..rule("locks", Trigger::KeyLocked, &["one"]) };
    let unlocks = WatchRule { quiet, ..rule("unlocks", Trigger::KeyUnlocked, &["one"]) };
    let rules = rules(vec![locks, unlocks], vec![hook("one")]);
    let full = ChannelState { sent: vec![NIGHT; 3], ..ChannelState::default() };
    let known = State { channels: [("one".to_owned(), full)].into(), ..State::default() };
    let events =
        [Trigger::KeyUnlocked, Trigger::KeyLocked, Trigger::KeyUnlocked, Trigger::KeyLocked]
            .map(|trigger| event(&rules, trigger));
    let plan = plan(&rules, &events, known, NIGHT);
    let about: Vec<_> = plan.messages.iter().map(|message| &message.content).collect();
    assert_eq!(about, [&Content::Event(1), &Content::Event(3)]);
    let window = plan.windows[&("unlocks".to_owned(), "one".to_owned())].window.as_ref().unwrap();
    assert_eq!(window.counts.count, 2);
    assert_eq!(window.until, Timestamp((24 + 7) * 60 * MINUTE), "the end of the night");
}

#[test]
fn a_burst_is_one_message_and_a_digest_with_an_exact_total() {
    let rules = rules(vec![rule("w", Trigger::Write, &["one"])], vec![hook("one")]);
    let write = |subject| Event {
        rules: vec![0],
        occurrence: Occurrence { subject, count: 1, sample: subject },
        ..event(&rules, Trigger::Write)
    };
    let events: Vec<_> = (0..50).map(write).collect();
    let began = plan(&rules, &events, State::default(), NIGHT);
    assert_eq!(
        (sent(&began), &began.messages[0].content),
        (vec!["one:".to_owned()], &Content::Event(0))
    );
    let early =
        close_digests(&rules, state(began.windows.clone()), NIGHT.plus(Span::from_secs(299)));
    assert_eq!((early.messages.len(), &early.windows), (0, &began.windows));
    let due = close_digests(&rules, state(early.windows), NIGHT.plus(Span::from_secs(300)));
    let Content::Digest { trigger, since, counts } = &due.messages[0].content else {
        panic!("{due:?}")
    };
    assert_eq!((*trigger, *since, counts.count), (Trigger::Write, NIGHT, 49));
    assert_eq!(due.messages[0].thread, began.messages[0].thread, "one burst, one thread");
    // A window in which nothing comes ends the burst.
    let over = close_digests(&rules, state(due.windows), NIGHT.plus(Span::from_secs(901)));
    assert!(over.messages.is_empty());
    assert!(over.windows.values().all(|open| open.window.is_none()));
}

#[test]
fn a_channel_carries_so_many_messages_in_an_hour_and_then_waits() {
    let one = |place: usize| rule(&format!("r{place}"), Trigger::KeyUnlocked, &["one"]);
    let rules = rules((0..5).map(one).collect(), vec![hook("one")]);
    // Each rule by itself, as if it alone waited.
    let events: Vec<_> = (0..5)
        .map(|place| Event { rules: vec![place], ..event(&rules, Trigger::KeyUnlocked) })
        .collect();
    let plan = plan(&rules, &events, State::default(), NIGHT);
    assert_eq!(plan.messages.len(), 3);
    let waits = plan.windows[&("r4".to_owned(), "one".to_owned())].window.clone().unwrap();
    assert_eq!(waits.until, NIGHT.plus(HOUR));
}

#[test]
fn who_stopped_digests_of_a_rule_hears_what_begins_a_burst_and_every_lock() {
    let unlocks = rule("unlocks", Trigger::KeyUnlocked, &["mail"]);
    let rules = rules(vec![unlocks], vec![mail(&["a@example.org", "b@example.org"])]);
    let stops = vec![("unlocks".to_owned(), "b@example.org".to_owned())];
    let known = || {
        let known = ChannelState { stops: stops.clone(), ..ChannelState::default() };
        [("mail".to_owned(), known)].into()
    };
    let all = "mail: a@example.org b@example.org";
    let events = [Trigger::KeyUnlocked, Trigger::KeyUnlocked, Trigger::KeyLocked];
    let events = events.map(|trigger| event(&rules, trigger));
    let began = plan(&rules, &events, State { channels: known(), ..State::default() }, NIGHT);
    assert_eq!(sent(&began), [all, all]);
    let due = State { windows: began.windows, channels: known() };
    let digest = close_digests(&rules, due, NIGHT.plus(HOUR));
    assert_eq!(sent(&digest), ["mail: a@example.org"]);
}

#[test]
fn a_window_whose_rule_is_gone_is_still_told_and_one_whose_channel_is_gone_is_named() {
    let before = rules(vec![rule("w", Trigger::KeyUnlocked, &["one"])], vec![hook("one")]);
    let events = [event(&before, Trigger::KeyUnlocked), event(&before, Trigger::KeyUnlocked)];
    let open = plan(&before, &events, State::default(), NIGHT).windows;
    let no_rule = rules(Vec::new(), vec![hook("one")]);
    assert_eq!(sent(&close_digests(&no_rule, state(open.clone()), NIGHT.plus(HOUR))), ["one:"]);
    let no_channel = rules(Vec::new(), vec![hook("two")]);
    let plan = close_digests(&no_channel, state(open), NIGHT.plus(HOUR));
    assert_eq!((plan.messages.len(), plan.lost), (0, vec!["one".to_owned()]));
    assert!(plan.windows.values().all(|open| open.window.is_none()));
}

#[test]
fn a_level_is_news_once_per_window_unless_a_higher_one_is_reached() {
    let noted = NotedLevel { level: 50, until: Timestamp(100) };
    let is_news = |level, now| NotedLevel::is_news(Some(noted), level, Timestamp(now));
    assert!(NotedLevel::is_news(None, 50, Timestamp(0)));
    assert_eq!([is_news(50, 99), is_news(80, 99), is_news(50, 100)], [false, true, true]);
}

proptest! {
    #[test]
    fn no_event_is_lost_or_sent_twice_whatever_comes(
        steps in proptest::collection::vec((0_i64..20 * MINUTE, 0_usize..3, any::<bool>()), 1..120)
    ) {
        let quiet = Some("22:00-07:00".parse().unwrap());
        let watched = vec![
            WatchRule { quiet, ..rule("unlocks", Trigger::KeyUnlocked, &["one", "two"]) },
            rule("writes", Trigger::Write, &["one"]),
        ];
        let rules = rules(watched, vec![hook("one"), hook("two")]);
        let triggers = [Trigger::KeyLocked, Trigger::KeyUnlocked, Trigger::Write];
        let (mut known, mut now) = (State::default(), NIGHT);
        let (mut happened, mut notified) = (0_u64, 0_u64);
        for (pause, which, is_closed) in steps {
            now = Timestamp(now.0 + pause);
            let events = [event(&rules, triggers[which])];
            // A write goes to one channel, the others to two.
            happened += if which == 2 { 1 } else { 2 };
            let planned = if is_closed {
                let closed = close_digests(&rules, known.clone(), now);
                notified += count(&closed);
                known = after(known, &closed, now);
                plan(&rules, &events, known.clone(), now)
            } else {
                plan(&rules, &events, known.clone(), now)
            };
            if triggers[which] == Trigger::KeyLocked {
                prop_assert_eq!(planned.messages.len(), 2, "a lock waits for nothing");
            }
            notified += count(&planned);
            known = after(known, &planned, now);
            let open = |window: &OpenWindow| window.window.as_ref().map_or(0, |w| w.counts.count);
            let counted: u64 = known.windows.values().map(open).sum();
            prop_assert_eq!(notified + counted, happened);
        }
    }
}

fn count(plan: &Plan<'_>) -> u64 {
    let count = |message: &Message<'_>| match &message.content {
        Content::Event(_) | Content::Test => 1,
        Content::Digest { counts, .. } => counts.count,
    };
    plan.messages.iter().map(count).sum()
}

/// The state as whoever saves a plan finds it next time.
fn after(mut known: State, plan: &Plan<'_>, now: Timestamp) -> State {
    for message in &plan.messages {
        known.channels.entry(message.channel.name.clone()).or_default().sent.push(now);
    }
    known.windows.clone_from(&plan.windows);
    known.windows.retain(|_, open| open.window.is_some());
    known
}
