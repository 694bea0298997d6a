//! From a delivery to a message: the facts of a notice in words, the state first.

use keystile_core::notice::{Notice, NoticeBudget, NoticeWrite};
use keystile_core::time::Timestamp;
use keystile_core::watch::TriggerKind;
use keystile_engine::notify::ClaimedDelivery;
use keystile_notify::message::{Link, Message, MessageKind, Urgency, WriteLine};

/// What a delivery says.
pub fn message(delivery: &ClaimedDelivery) -> Message {
    let notice = &delivery.notice;
    let who = notice.key.as_ref().map(|key| key.application.clone());
    let state = state(notice);
    let what = what(notice);
    Message {
        id: delivery.id.to_string(),
        thread: delivery.thread.clone(),
        kind: kind(notice),
        sentence: sentence(notice, who.as_deref(), &what),
        facts: facts(notice),
        writes: notice.writes.iter().rev().map(write_line).collect(),
        links: links(delivery),
        time: notice.time,
        urgency: urgency(notice),
        unsubscribe: delivery.links.stop.clone(),
        state,
        who,
        what,
    }
}

fn kind(notice: &Notice) -> MessageKind {
    match notice.trigger {
        TriggerKind::Write if notice.since.is_some() => MessageKind::Writes,
        TriggerKind::Write => MessageKind::WriteHappened,
        TriggerKind::FirstWriteOfKey => MessageKind::FirstWriteOfKey,
        TriggerKind::FirstWriteOfOperation => MessageKind::FirstWriteOfOperation,
        TriggerKind::BudgetLevel => MessageKind::BudgetLevel,
        TriggerKind::KeyLocked => MessageKind::KeyLocked,
        TriggerKind::KeyUnlocked => MessageKind::KeyUnlocked,
        TriggerKind::WriteUnknown => MessageKind::WriteUnknown,
        TriggerKind::RefusedStorm => MessageKind::RefusedStorm,
        TriggerKind::StoreTrouble => MessageKind::StoreTrouble,
        TriggerKind::DeliveryFailed => MessageKind::DeliveryFailed,
        TriggerKind::Test => MessageKind::Test,
    }
}

fn urgency(notice: &Notice) -> Urgency {
    match notice.trigger {
        TriggerKind::KeyLocked => Urgency::High,
        TriggerKind::Test => Urgency::Low,
        TriggerKind::Write
        | TriggerKind::FirstWriteOfKey
        | TriggerKind::FirstWriteOfOperation
        | TriggerKind::BudgetLevel
        | TriggerKind::KeyUnlocked
        | TriggerKind::WriteUnknown
        | TriggerKind::RefusedStorm
        | TriggerKind::StoreTrouble
        | TriggerKind::DeliveryFailed => {
            if notice.since.is_some() {
                Urgency::Low
            } else {
                Urgency::Normal
            }
        }
    }
}

fn state(notice: &Notice) -> String {
    let (one, many) = match notice.trigger {
        TriggerKind::Write => ("WRITE", "WRITES"),
        TriggerKind::FirstWriteOfKey | TriggerKind::FirstWriteOfOperation => {
            ("FIRST WRITE", "FIRST WRITES")
        }
        TriggerKind::BudgetLevel => match notice.budget.as_ref().and_then(|budget| budget.level) {
            Some(level) => return format!("{level} % USED"),
            None => ("BUDGET LEVEL", "BUDGET LEVELS"),
        },
        TriggerKind::KeyLocked => ("LOCKED", "LOCKS"),
        TriggerKind::KeyUnlocked => ("UNLOCKED", "UNLOCKS"),
        TriggerKind::WriteUnknown => ("OUTCOME UNKNOWN", "OUTCOMES UNKNOWN"),
        TriggerKind::RefusedStorm => ("REFUSED STORM", "REFUSED STORMS"),
        TriggerKind::StoreTrouble => ("STORE TROUBLE", "STORE TROUBLES"),
        TriggerKind::DeliveryFailed => ("NOT DELIVERED", "NOT DELIVERED"),
        TriggerKind::Test => ("TEST", "TESTS"),
    };
    if notice.count == 1 { one.to_owned() } else { format!("{} {many}", notice.count) }
}

/// What happened, in a few words.
fn what(notice: &Notice) -> String {
    if let Some(since) = notice.since {
        return format!("last {}", length(notice.time.millis_since(since)));
    }
    if let (Some(lock), Some(budget)) = (&notice.lock, &notice.budget) {
        let tried = lock
            .evidence
            .as_deref()
            .map(|evidence| evidence.split_once(" from ").map_or(evidence, |(write, _)| write));
        let over = format!(
            "{} of {} writes {}",
            ordinal(budget.used.saturating_add(1)),
            budget.amount,
            window(budget)
        );
        return tried.map_or_else(|| over.clone(), |tried| format!("{over} ({tried})"));
    }
    if let Some(budget) = &notice.budget {
        return format!("{} of {} writes {}", budget.used, budget.amount, window(budget));
    }
    match notice.writes.last() {
        Some(write) if notice.lock.is_none() => format!("{} {}", write.method, write.path),
        Some(_) | None if notice.trigger == TriggerKind::Test => "this channel works".to_owned(),
        Some(_) | None => notice.detail.clone(),
    }
}

fn sentence(notice: &Notice, who: Option<&str>, what: &str) -> String {
    let nobody = "a caller without a key";
    match notice.trigger {
        TriggerKind::Test => "An owner asked whether this channel works: it does.".to_owned(),
        TriggerKind::StoreTrouble | TriggerKind::DeliveryFailed => capitalized(&notice.detail),
        TriggerKind::Write
        | TriggerKind::FirstWriteOfKey
        | TriggerKind::FirstWriteOfOperation
        | TriggerKind::WriteUnknown => {
            if notice.since.is_some() {
                return format!("{} writes were recorded in the {what}.", notice.count);
            }
            let first = match notice.trigger {
                TriggerKind::FirstWriteOfKey => ", the first write of this key",
                TriggerKind::FirstWriteOfOperation => ", the first write of this operation",
                TriggerKind::WriteUnknown => "; nobody knows what became of it",
                TriggerKind::Write
                | TriggerKind::BudgetLevel
                | TriggerKind::KeyLocked
                | TriggerKind::KeyUnlocked
                | TriggerKind::RefusedStorm
                | TriggerKind::StoreTrouble
                | TriggerKind::DeliveryFailed
                | TriggerKind::Test => "",
            };
            format!("{} sent {what}{first}.", who.unwrap_or("A caller without a key"))
        }
        TriggerKind::KeyLocked => {
            let stops = match notice.lock.as_ref().map(|lock| lock.level) {
                Some(keystile_core::lock::LockLevel::All) => "all its calls stop",
                Some(keystile_core::lock::LockLevel::Writes) | None => {
                    "its writes stop and its reads go on"
                }
            };
            format!("A key of {} was locked: {stops}.", who.unwrap_or(nobody))
        }
        TriggerKind::KeyUnlocked => match notice.since {
            Some(_) if notice.count > 1 => {
                format!("{} times a key was unlocked in the {what}.", notice.count)
            }
            Some(_) | None => format!("A key of {} was unlocked.", who.unwrap_or(nobody)),
        },
        TriggerKind::BudgetLevel => match notice.since {
            Some(_) => format!("{} keys came nearer to the end of a budget.", notice.count),
            None => format!("A key of {} has {}.", who.unwrap_or(nobody), notice.detail),
        },
        TriggerKind::RefusedStorm => format!("Refused over and over: {}.", notice.detail),
    }
}

fn facts(notice: &Notice) -> Vec<(String, String)> {
    let mut facts: Vec<(String, String)> = Vec::new();
    let mut fact = |name: &str, value: String| facts.push((name.to_owned(), value));
    if let Some(key) = &notice.key {
        fact("Key", key.prefix.clone());
        fact("Application", key.application.clone());
        fact("Plan", key.plan.clone());
    }
    if let (None, [.., write]) = (notice.since, notice.writes.as_slice()) {
        fact("Operation", format!("{}: {}", write.api, write.operation));
        fact("Address", write.address.clone());
        fact("Outcome", write.outcome.to_string());
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
    if let Some(since) = notice.since {
        fact("Total", notice.count.to_string());
        fact("Since", since.readable());
    }
    for offender in &notice.offenders {
        let name = offender.key.as_ref().map_or_else(
            || "without a key".to_owned(),
            |key| format!("{} ({})", key.application, key.prefix),
        );
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

/// As in `today`, `per hour` or `per 5 minutes`.
fn window(budget: &NoticeBudget) -> String {
    let rest = budget.quota.split_once(' ').map_or("", |(_, rest)| rest);
    match rest {
        "per day" | "per day calendar" => "today".to_owned(),
        rest => rest.trim_end_matches(" calendar").to_owned(),
    }
}

fn ordinal(number: u64) -> String {
    let end = match (number % 10, number % 100) {
        (1, 1..=10 | 12..) => "st",
        (2, 1..=11 | 13..) => "nd",
        (3, 1..=12 | 14..) => "rd",
        _ => "th",
    };
    format!("{number}{end}")
}

/// As in `5 min`, rounded to what a person would say.
fn length(millis: i64) -> String {
    let secs = (millis + 500) / 1_000;
    match secs {
        ..=119 => format!("{secs} s"),
        120..=7_199 => format!("{} min", (secs + 30) / 60),
        _ => format!("{} h", (secs + 1_800) / 3_600),
    }
}

fn capitalized(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_counted_as_people_do() {
        let counted: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal).into();
        assert_eq!(
            counted,
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
        );
        assert_eq!(
            [300_000, 3_600_000, 61_000, 10_000_000].map(length),
            ["5 min", "60 min", "61 s", "3 h"]
        );
    }
}
