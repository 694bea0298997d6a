//! What a message says in words: the state, what happened in a few words, and the first sentence.

use keystile_core::journal::Outcome;
use keystile_core::keys::lock::LockLevel;
use keystile_core::notifications::notice::{Notice, NoticeBudget};
use keystile_core::notifications::trigger::Trigger;

const NOBODY: &str = "a caller without a key";

/// What became of a write.
pub(super) fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pending => "under way",
        Outcome::Applied => "applied",
        Outcome::RefusedByUpstream => "refused by the upstream",
        Outcome::NotSent => "not sent",
        Outcome::Unknown => "unknown",
        Outcome::Refused => "refused",
        Outcome::HandedOver => "handed over",
    }
}

/// The first words of the subject.
pub(super) fn state(notice: &Notice) -> String {
    let (one, many) = notice.trigger.state();
    let level = notice.budget.as_ref().and_then(|budget| budget.level);
    let one = match (notice.trigger, level) {
        (Trigger::BudgetLevel, Some(level)) => return format!("{level} % USED"),
        (Trigger::Write, _) => write_state(notice, one),
        (Trigger::FirstWriteOfKey | Trigger::FirstWriteOfOperation, _) => {
            first_write_state(notice, one)
        }
        (
            Trigger::BudgetLevel
            | Trigger::KeyLocked
            | Trigger::KeyUnlocked
            | Trigger::WriteUnknown
            | Trigger::RefusalBurst
            | Trigger::StorageFailure
            | Trigger::DeliveryFailed
            | Trigger::Test,
            _,
        ) => one,
    };
    if notice.count == 1 { one.to_owned() } else { format!("{} {many}", notice.count) }
}

fn write_state(notice: &Notice, usual: &'static str) -> &'static str {
    match notice.writes.last().map(|write| write.outcome) {
        Some(Outcome::RefusedByUpstream) => "REFUSED BY UPSTREAM",
        Some(Outcome::NotSent) => "WRITE NOT SENT",
        Some(Outcome::Unknown) => "OUTCOME UNKNOWN",
        Some(Outcome::Refused) => "WRITE REFUSED",
        Some(Outcome::Pending | Outcome::Applied | Outcome::HandedOver) | None => usual,
    }
}

fn first_write_state(notice: &Notice, usual: &'static str) -> &'static str {
    match notice.writes.last().map(|write| write.outcome) {
        Some(Outcome::RefusedByUpstream | Outcome::Refused) => "FIRST WRITE, REFUSED",
        Some(Outcome::NotSent) => "FIRST WRITE, NOT SENT",
        Some(Outcome::Pending | Outcome::Applied | Outcome::Unknown | Outcome::HandedOver)
        | None => usual,
    }
}

/// What happened, in a few words.
pub(super) fn what(notice: &Notice) -> String {
    if let Some(period) = period(notice) {
        return period;
    }
    if let (Some(lock), Some(budget)) = (&notice.lock, &notice.budget) {
        let tried = lock
            .evidence
            .as_deref()
            .map(|evidence| evidence.split_once(" from ").map_or(evidence, |(write, _)| write));
        let over = format!(
            "{} of {} {}",
            ordinal(budget.used.saturating_add(1)),
            counted(u64::from(budget.amount), "write", "writes"),
            window(budget)
        );
        return tried.map_or_else(|| over.clone(), |tried| format!("{over} ({tried})"));
    }
    if let Some(budget) = &notice.budget {
        let amount = counted(u64::from(budget.amount), "write", "writes");
        return format!("{} of {amount} {}", budget.used, window(budget));
    }
    match notice.writes.last() {
        Some(write) if notice.lock.is_none() => format!("{} {}", write.method, write.path),
        Some(_) | None if notice.trigger == Trigger::Test => "this channel works".to_owned(),
        Some(_) | None => notice.detail.clone(),
    }
}

/// As in `last 5 min`, for a digest.
fn period(notice: &Notice) -> Option<String> {
    notice.since.map(|since| format!("last {}", length(notice.time.millis_since(since))))
}

pub(super) fn sentence(notice: &Notice, who: Option<&str>, what: &str) -> String {
    match period(notice) {
        Some(period) => digest_sentence(notice, who, &period),
        None => single_sentence(notice, who, what),
    }
}

fn digest_sentence(notice: &Notice, who: Option<&str>, period: &str) -> String {
    let count = notice.count;
    let (one, many) = notice.trigger.happened();
    let happened = match (notice.trigger, who) {
        (Trigger::Write, Some(who)) => {
            format!("{who} made {}", counted(count, "write", "writes"))
        }
        (Trigger::BudgetLevel, Some(who)) => {
            format!("A key of {who} reached {}", counted(count, "budget level", "budget levels"))
        }
        (Trigger::BudgetLevel, None) => match callers(notice) {
            Some(keys) => format!(
                "{} reached {}",
                counted(keys, "key", "keys"),
                counted(count, "budget level", "budget levels")
            ),
            None => counted(count, one, many),
        },
        (
            Trigger::Write
            | Trigger::FirstWriteOfKey
            | Trigger::FirstWriteOfOperation
            | Trigger::KeyLocked
            | Trigger::KeyUnlocked
            | Trigger::WriteUnknown
            | Trigger::RefusalBurst
            | Trigger::StorageFailure
            | Trigger::DeliveryFailed
            | Trigger::Test,
            _,
        ) => counted(count, one, many),
    };
    format!("{happened} in the {period}.")
}

/// How many caused the events, where that is known exactly.
fn callers(notice: &Notice) -> Option<u64> {
    let is_exact = notice.offenders.iter().all(|offender| offender.inherited == 0);
    let sum: u64 = notice.offenders.iter().map(|offender| offender.count).sum();
    (is_exact && sum == notice.count).then(|| u64::try_from(notice.offenders.len()).ok()).flatten()
}

fn single_sentence(notice: &Notice, who: Option<&str>, what: &str) -> String {
    let key_of = who.unwrap_or(NOBODY);
    match notice.trigger {
        Trigger::Test => "An owner asked whether this channel works: it does.".to_owned(),
        Trigger::StorageFailure => ended(capitalized(&notice.detail)),
        Trigger::DeliveryFailed => ended(format!("The message {}", notice.detail)),
        Trigger::Write | Trigger::WriteUnknown => write_sentence(notice, who, what, ""),
        Trigger::FirstWriteOfKey => {
            write_sentence(notice, who, what, ", the first write of this key")
        }
        Trigger::FirstWriteOfOperation => {
            write_sentence(notice, who, what, ", the first write of this operation")
        }
        Trigger::KeyLocked => {
            let is_all = notice.lock.as_ref().is_some_and(|lock| lock.level == LockLevel::All);
            match (&notice.application, is_all) {
                (None, true) => format!("A key of {key_of} was locked: all its calls stop."),
                (None, false) => {
                    format!("A key of {key_of} was locked: its writes stop and its reads go on.")
                }
                (Some(_), true) => {
                    format!("All keys of {key_of} were locked: all their calls stop.")
                }
                (Some(_), false) => format!(
                    "All keys of {key_of} were locked: their writes stop and their reads go on."
                ),
            }
        }
        Trigger::KeyUnlocked if notice.application.is_some() => {
            format!("The keys of {key_of} were unlocked.")
        }
        Trigger::KeyUnlocked => format!("A key of {key_of} was unlocked."),
        Trigger::BudgetLevel => ended(format!("A key of {key_of} has {}", notice.detail)),
        Trigger::RefusalBurst => ended(format!("Refused over and over: {}", notice.detail)),
    }
}

fn write_sentence(notice: &Notice, who: Option<&str>, what: &str, first: &str) -> String {
    let who = who.map_or_else(|| capitalized(NOBODY), str::to_owned);
    let (did, became) = match notice.writes.last().map(|write| write.outcome) {
        Some(Outcome::RefusedByUpstream) => ("sent", "; the upstream refused it"),
        Some(Outcome::NotSent) => ("tried", "; it was not sent to the upstream"),
        Some(Outcome::Unknown) => ("sent", "; its outcome is unknown"),
        Some(Outcome::Refused) => ("tried", "; it was refused"),
        Some(Outcome::Pending) => ("sent", "; its outcome is not known yet"),
        Some(Outcome::HandedOver) => ("sent", "; another gateway passes it on"),
        Some(Outcome::Applied) | None => ("sent", ""),
    };
    format!("{who} {did} {what}{first}{became}.")
}

/// As in `1 write` or `12 writes`.
fn counted(count: u64, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

fn ended(text: String) -> String {
    if text.ends_with(['.', '!', '?']) { text } else { text + "." }
}

/// As in `in a day`, `in an hour`, `in 5 minutes` or, of the calendar, `today` and `this month`.
fn window(budget: &NoticeBudget) -> String {
    let length = budget.quota.split_once(" per ").map_or("", |(_, length)| length);
    match (length.strip_suffix(" calendar"), length) {
        (Some("day"), _) => "today".to_owned(),
        (Some(unit), _) => format!("this {unit}"),
        (None, "hour") => "in an hour".to_owned(),
        (None, length) if length.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("in {length}")
        }
        (None, unit) => format!("in a {unit}"),
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
    fn a_budgets_window_is_said_as_people_do() {
        let said = |quota: &str| {
            let quota: keystile_core::budget::Quota = quota.parse().unwrap();
            window(&NoticeBudget {
                name: "writes".to_owned(),
                quota: quota.to_string(),
                amount: quota.amount,
                used: 1,
                level: None,
            })
        };
        for (quota, words) in [
            ("20 per minute", "in a minute"),
            ("20 per 5 minutes", "in 5 minutes"),
            ("20 per hour", "in an hour"),
            ("20 per day", "in a day"),
            ("20 per 2 days", "in 2 days"),
            ("20 per day calendar", "today"),
            ("20 per month calendar", "this month"),
        ] {
            assert_eq!(said(quota), words, "{quota}");
        }
    }

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
