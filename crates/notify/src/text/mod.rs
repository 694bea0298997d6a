//! From a delivery to a message: the facts of a notice, the state first.

mod sentence;

use std::borrow::Cow;

use crate::message::{Link, Message, MessageScope, Urgency, WriteLine};
use keystile_core::notifications::notice::{Notice, NoticeKey, NoticeWrite};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::time::Timestamp;
use keystile_engine::notifications::claimed::ClaimedDelivery;

use self::sentence::{sentence, state, what};

/// What a delivery says.
pub(crate) fn message(delivery: &ClaimedDelivery) -> Message {
    let notice = &*alone(&delivery.notice);
    let of_key = notice.key.as_ref().map(|key| key.application.clone());
    let who = of_key.or_else(|| notice.application.as_ref().map(|whole| whole.name.clone()));
    let state = state(notice);
    let what = what(notice);
    Message {
        id: delivery.id.to_string(),
        thread: delivery.thread.clone(),
        trigger: notice.trigger,
        scope: match notice.since {
            Some(_) => MessageScope::Digest,
            None => MessageScope::Event,
        },
        sentence: sentence(notice, who.as_deref(), &what),
        facts: facts(notice, delivery.elsewhere.as_deref()),
        writes: notice.writes.iter().rev().map(write_line).collect(),
        links: links(delivery),
        time: delivery.notice.time,
        urgency: urgency(notice),
        unsubscribe: delivery.links.stop.clone(),
        state,
        who,
        what,
    }
}

/// A digest of a single event reads as the message about that event would.
fn alone(notice: &Notice) -> Cow<'_, Notice> {
    if notice.since.is_none() || notice.count != 1 {
        return Cow::Borrowed(notice);
    }
    let mut notice = notice.clone();
    notice.since = None;
    notice.offenders.clear();
    if let Some(write) = notice.writes.last() {
        notice.time = write.time;
    }
    if let Some(event) = notice.events.pop() {
        notice.time = event.time;
        notice.key = event.key.or(notice.key);
        notice.detail = event.detail;
    }
    Cow::Owned(notice)
}

fn urgency(notice: &Notice) -> Urgency {
    match notice.trigger {
        Trigger::KeyLocked => Urgency::High,
        Trigger::Test => Urgency::Low,
        Trigger::Write
        | Trigger::FirstWriteOfKey
        | Trigger::FirstWriteOfOperation
        | Trigger::BudgetLevel
        | Trigger::KeyUnlocked
        | Trigger::WriteUnknown
        | Trigger::RefusalBurst
        | Trigger::StorageFailure
        | Trigger::DeliveryFailed => {
            if notice.since.is_some() {
                Urgency::Low
            } else {
                Urgency::Normal
            }
        }
    }
}

fn facts(notice: &Notice, elsewhere: Option<&str>) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(key) = &notice.key {
        fact("Key", key.prefix.clone());
        fact("Application", key.application.clone());
        fact("Plan", key.plan.clone());
    } else if let Some(application) = &notice.application {
        fact("Application", application.name.clone());
    }
    // A lock that no request caused comes with the writes before it, none of which it is about.
    let is_of_write = notice.lock.as_ref().is_none_or(|lock| lock.evidence.is_some());
    if let (None, [.., write], true) = (notice.since, notice.writes.as_slice(), is_of_write) {
        fact("Operation", format!("{}: {}", write.api, write.operation));
        fact("Address", write.address.clone());
        fact("Outcome", sentence::outcome(write.outcome).to_owned());
    }
    if let Some(budget) = &notice.budget {
        fact("Budget", format!("{} of {} ({})", budget.used, budget.quota, budget.name));
    }
    if let Some(lock) = &notice.lock {
        fact("Since", lock.since.readable());
        let until =
            lock.until.map_or_else(|| "an owner unlocks it".to_owned(), Timestamp::readable);
        fact("Until", until);
        fact("Reason", lock.reason.clone());
        if let Some(evidence) = &lock.evidence {
            fact("Tried", evidence.clone());
        }
    }
    if let Some(elsewhere) = elsewhere {
        fact("Elsewhere", elsewhere.to_owned());
    }
    if let Some(since) = notice.since {
        fact("Total", notice.count.to_string());
        fact("Since", since.readable());
    }
    for event in notice.events.iter().rev() {
        let name = event.key.as_ref().map_or_else(|| event.time.readable(), named);
        fact(&name, event.detail.clone());
    }
    let listed = u64::try_from(notice.events.len()).unwrap_or(u64::MAX);
    if listed > 0 && notice.count > listed {
        fact("Before these", format!("{} more", notice.count - listed));
    }
    // Events say by themselves whose they are.
    let offenders = if notice.events.is_empty() { notice.offenders.as_slice() } else { &[] };
    for offender in offenders {
        let name = offender.key.as_ref().map_or_else(|| "without a key".to_owned(), named);
        let count = if offender.inherited == 0 {
            offender.count.to_string()
        } else {
            format!("{} to {}", offender.count - offender.inherited, offender.count)
        };
        fact(&name, count);
    }
    if let Some(actor) = &notice.actor {
        fact("By", actor.clone());
    }
    facts
}

fn named(key: &NoticeKey) -> String {
    format!("{} ({})", key.application, key.prefix)
}

fn write_line(write: &NoticeWrite) -> WriteLine {
    WriteLine {
        time: write.time,
        method: write.method.clone(),
        path: write.path.clone(),
        outcome: write.outcome,
        who: write.application.clone(),
    }
}

fn links(delivery: &ClaimedDelivery) -> Vec<Link> {
    let links = &delivery.links;
    let link = |label: &str, url: &Option<String>, is_act| {
        url.clone().map(|url| Link { label: label.to_owned(), url, is_act })
    };
    [
        link("View", &links.view, false),
        link("Lock", &links.lock, true),
        link("Unlock", &links.unlock, true),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests;
