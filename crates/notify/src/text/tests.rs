//! Every kind of message, read aloud.

use keystile_core::actor::Actor;
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::keys::lock::{Lock, LockLevel, LockTarget};
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::notice::{NoticeBudget, NoticeEvent, NoticeOffender};
use keystile_core::time::Timestamp;
use keystile_engine::notifications::claimed::Links;

use super::*;

const NOW: Timestamp = Timestamp(1_795_500_000_000);

fn key(number: u8) -> NoticeKey {
    NoticeKey {
        id: format!("key_{number}"),
        prefix: format!("ks_{number}abc"),
        application: format!("scraper-{number}"),
        plan: "open".to_owned(),
    }
}

fn write(outcome: Outcome, application: Option<&str>) -> NoticeWrite {
    NoticeWrite {
        id: RecordId(41),
        time: Timestamp(NOW.0 - 60_000),
        api: "bookmarks".to_owned(),
        operation: "DELETE /bookmarks/{id}".to_owned(),
        method: "DELETE".to_owned(),
        path: "/bookmarks/41".to_owned(),
        address: "203.0.113.7".to_owned(),
        outcome,
        application: application.map(str::to_owned),
    }
}

fn single(trigger: Trigger, keyed: Option<u8>) -> Notice {
    Notice { key: keyed.map(key), ..Notice::new(trigger, NOW) }
}

fn of_write(trigger: Trigger, outcome: Outcome) -> Notice {
    Notice { writes: vec![write(outcome, Some("scraper-17"))], ..single(trigger, Some(17)) }
}

fn digest(trigger: Trigger, count: u64, by: &[(Option<u8>, u64)]) -> Notice {
    let offender = |(number, count): &(Option<u8>, u64)| NoticeOffender {
        key: number.map(key),
        count: *count,
        inherited: 0,
    };
    let mut notice = Notice {
        since: Some(Timestamp(NOW.0 - 300_000)),
        count,
        offenders: by.iter().map(offender).collect(),
        ..single(trigger, None)
    };
    if let [only] = notice.offenders.as_slice() {
        notice.key.clone_from(&only.key);
    }
    notice
}

fn event(number: Option<u8>, detail: &str) -> NoticeEvent {
    NoticeEvent { time: Timestamp(NOW.0 - 60_000), key: number.map(key), detail: detail.to_owned() }
}

const LEVEL: &str = "used 16 of 20 per day, 80 % of the write budget writes-day";

fn read_aloud(notice: Notice) -> String {
    let delivery = ClaimedDelivery {
        id: "delivery_00000000000000000000000000000000".parse().unwrap(),
        claim: 1,
        rule: "deletes".to_owned(),
        channel: ChannelRule {
            name: "ops".to_owned(),
            spec: ChannelSpec::new(
                "web_push",
                String::new(),
                Audience::Devices,
                ChannelSettings::default(),
            ),
            per_hour_max: 60,
            allowed_networks: Vec::new(),
        },
        receiver: None,
        thread: "deletes".to_owned(),
        elsewhere: None,
        created: notice.time,
        notice,
        links: Links { view: None, lock: None, unlock: None, stop: None },
    };
    let message = message(&delivery);
    let mut title = vec![message.state.as_str()];
    title.extend(message.who.as_deref());
    title.push(&message.what);
    let mut text = format!("{}\n  {}\n", title.join(" | "), message.sentence);
    for (name, value) in &message.facts {
        text.push_str(&format!("    {name}: {value}\n"));
    }
    text
}

fn all_aloud(notices: Vec<Notice>) -> String {
    notices.into_iter().map(read_aloud).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_message_says_what_became_of_the_write() {
    let kinds = [
        Trigger::Write,
        Trigger::FirstWriteOfKey,
        Trigger::FirstWriteOfOperation,
        Trigger::WriteUnknown,
    ];
    let of_each_outcome = |kind| Outcome::ALL.iter().map(move |outcome| of_write(kind, *outcome));
    let mut notices: Vec<Notice> = kinds.into_iter().flat_map(of_each_outcome).collect();
    notices.push(Notice {
        writes: vec![write(Outcome::Applied, None)],
        ..single(Trigger::Write, None)
    });
    let titles: String = notices
        .into_iter()
        .map(|notice| read_aloud(notice).lines().take(2).collect::<Vec<_>>().join("\n") + "\n")
        .collect();
    insta::assert_snapshot!(titles);
}

#[test]
fn a_digest_of_one_says_as_much_as_the_message_that_it_stands_for() {
    let by = [(Some(17), 1)];
    let of_writes = [Trigger::Write, Trigger::FirstWriteOfKey, Trigger::WriteUnknown];
    let mut notices: Vec<Notice> = of_writes
        .into_iter()
        .map(|kind| Notice {
            writes: vec![write(Outcome::RefusedByUpstream, Some("scraper-17"))],
            ..digest(kind, 1, &by)
        })
        .collect();
    notices.push(Notice {
        events: vec![event(Some(17), LEVEL)],
        ..digest(Trigger::BudgetLevel, 1, &by)
    });
    notices.push(Notice {
        events: vec![event(Some(17), "seen to")],
        ..digest(Trigger::KeyUnlocked, 1, &by)
    });
    insta::assert_snapshot!(all_aloud(notices));
}

#[test]
fn a_digest_counts_what_it_names() {
    let writes =
        vec![write(Outcome::Applied, Some("scraper-17")), write(Outcome::RefusedByUpstream, None)];
    let by_three = [(Some(17), 3), (Some(18), 2), (None, 1)];
    let of_writes = |kind, by: &[(Option<u8>, u64)]| Notice {
        writes: writes.clone(),
        ..digest(kind, by.iter().map(|(_, count)| count).sum(), by)
    };
    let of_events = |kind, detail: &str, by: &[(Option<u8>, u64)]| Notice {
        events: by.iter().map(|(number, _)| event(*number, detail)).collect(),
        ..digest(kind, by.iter().map(|(_, count)| count).sum(), by)
    };
    let by_keys = [(Some(17), 3), (Some(18), 2), (Some(19), 1)];
    let nobody = [(None, 2)];
    insta::assert_snapshot!(all_aloud(vec![
        of_writes(Trigger::Write, &by_three),
        of_writes(Trigger::Write, &[(Some(17), 2)]),
        of_writes(Trigger::FirstWriteOfKey, &by_keys),
        of_writes(Trigger::FirstWriteOfOperation, &by_three),
        of_writes(Trigger::WriteUnknown, &by_three),
        of_events(Trigger::BudgetLevel, LEVEL, &by_keys),
        of_events(Trigger::BudgetLevel, LEVEL, &[(Some(17), 2)]),
        of_events(Trigger::KeyUnlocked, "seen to", &by_keys),
        of_events(Trigger::RefusalBurst, "1,000 calls refused in 60 s", &by_keys),
        of_events(Trigger::StorageFailure, "the disk was full for 10 s", &nobody),
        of_events(Trigger::DeliveryFailed, "msg_1 to ops was not delivered: 550", &nobody),
    ]));
}

#[test]
fn what_is_told_alone_names_budget_lock_and_reason() {
    let budget = NoticeBudget {
        name: "writes-day".to_owned(),
        quota: "20 per day".to_owned(),
        amount: 20,
        used: 16,
        level: Some(80),
    };
    let once = NoticeBudget {
        quota: "1 per 5 minutes".to_owned(),
        amount: 1,
        used: 1,
        level: None,
        ..budget.clone()
    };
    let lock = |level, evidence: Option<&str>| Lock {
        level,
        reason: "went over its write budget of 1 per 5 minutes".to_owned(),
        actor: Actor::Budget("writes-day".to_owned()),
        since: NOW,
        until: None,
        evidence: evidence.map(str::to_owned),
        on: LockTarget::Key,
    };
    let with_detail = |trigger, keyed, detail: &str| Notice {
        detail: detail.to_owned(),
        ..single(trigger, keyed)
    };
    insta::assert_snapshot!(all_aloud(vec![
        Notice { budget: Some(budget), ..with_detail(Trigger::BudgetLevel, Some(17), LEVEL) },
        Notice {
            budget: Some(once),
            lock: Some(lock(LockLevel::Writes, Some("DELETE /bookmarks/41 from 203.0.113.7"))),
            ..single(Trigger::KeyLocked, Some(17))
        },
        Notice {
            lock: Some(lock(LockLevel::All, None)),
            ..with_detail(Trigger::KeyLocked, Some(17), "leaked")
        },
        with_detail(Trigger::KeyUnlocked, Some(17), "seen to"),
        with_detail(Trigger::RefusalBurst, Some(17), "1,000 calls refused in 60 s"),
        with_detail(Trigger::RefusalBurst, None, "1,000 calls refused in 60 s"),
        with_detail(Trigger::StorageFailure, None, "the disk was full for 10 s"),
        with_detail(Trigger::DeliveryFailed, None, "msg_1 to ops was not delivered: 550"),
        single(Trigger::Test, None),
    ]));
}

#[test]
fn a_lock_that_no_request_caused_names_no_request() {
    let lock = |actor, evidence: Option<&str>| Lock {
        level: LockLevel::Writes,
        reason: "looks odd".to_owned(),
        actor,
        since: NOW,
        until: None,
        evidence: evidence.map(str::to_owned),
        on: LockTarget::Key,
    };
    let facts_of = |lock| {
        let notice = Notice { lock: Some(lock), ..of_write(Trigger::KeyLocked, Outcome::Applied) };
        facts(&notice, None).into_iter().map(|(name, _)| name).collect::<Vec<_>>()
    };
    let of_request = ["Operation", "Address", "Outcome"].map(str::to_owned);
    for actor in [Actor::Owner("Ada".to_owned()), Actor::Link("a message".to_owned())] {
        let named = facts_of(lock(actor, None));
        assert!(named.iter().all(|name| !of_request.contains(name)), "{named:?}");
    }
    let budget = Actor::Budget("writes-day".to_owned());
    let named = facts_of(lock(budget, Some("DELETE /bookmarks/41 from 203.0.113.7")));
    assert!(of_request.iter().all(|name| named.contains(name)), "{named:?}");
}
