//! Rules in words that a person reads at a glance.

use keystile_core::actor::Actor;
use keystile_core::budget::{Per, Window};
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::policy::{BudgetSpec, PlanSpec};
use keystile_core::time::Span;

pub(crate) mod chart;
pub(crate) mod filters;
pub(crate) mod when;

/// The methods that ask and change nothing, unless a rule says otherwise.
const READING: [&str; 4] = ["GET", "HEAD", "OPTIONS", "QUERY"];

/// `20 writes per minute (bookmarks: DELETE *)`.
fn quota(budget: &BudgetSpec) -> String {
    let on: Vec<_> = budget.on.iter().map(ToString::to_string).collect();
    let what = if on.is_empty() { "writes".to_owned() } else { format!("of {}", on.join(", ")) };
    let (amount, window) = (budget.quota.amount, &budget.quota.window);
    let calendar = match window {
        Window::Rolling(_) => "in any",
        Window::Calendar(_) => "in each",
    };
    let text = budget.quota.to_string();
    let unit = text.split_once(" per ").map_or("window", |(_, unit)| unit);
    let whose = match budget.per {
        Per::Key => "",
        Per::Application => ", of all keys of an application together",
        Per::Plan => ", of everybody on this plan together",
    };
    format!("{amount} {what} {calendar} {}{whose}", unit.trim_end_matches(" calendar"))
}

/// What happens past the budgets: `then writes stop until you unlock the key`.
fn consequence(rule: LockRule) -> String {
    match rule {
        LockRule::Never => {
            "past that, writes are refused until there is room; no key locks".to_owned()
        }
        LockRule::Lock { level, until } => {
            let what = match level {
                LockLevel::Writes => "writes stop (reads go on)",
                LockLevel::All => "every call stops",
            };
            match until {
                LockUntil::Unlocked => format!("then {what} until you unlock the key"),
                LockUntil::For { span, growth, .. } if growth > 1 => {
                    format!("then {what} for {}, longer each time", words(span))
                }
                LockUntil::For { span, .. } => format!("then {what} for {}", words(span)),
            }
        }
    }
}

fn words(span: Span) -> String {
    span.to_string()
}

/// A plan's budgets and what follows, one sentence each.
pub(crate) fn plan(spec: &PlanSpec) -> Vec<String> {
    let mut sentences: Vec<String> = spec.write_budgets.iter().map(quota).collect();
    match (sentences.is_empty(), spec.is_keyless) {
        (true, _) => {
            sentences.push(without_budget(spec));
        }
        (false, false) => sentences.push(capital(&consequence(spec.lock))),
        (false, true) => {
            sentences.push(
                "Past that, writes from the address are refused until there is room".to_owned(),
            );
        }
    }
    for limit in &spec.rate_limits {
        sentences.push(format!("At most {limit}; faster calls are refused for a moment (429)"));
    }
    sentences
}

/// What holds without a write budget. Which calls are writes is not always for the method to say, so a plan
/// for readers is described by its methods.
fn without_budget(spec: &PlanSpec) -> String {
    let mut methods = Vec::new();
    for rule in &spec.allow {
        if rule.pattern.methods().is_empty() {
            return "No write budget: every write is journaled, and none counts".to_owned();
        }
        for method in rule.pattern.methods() {
            if !methods.contains(&method.as_str()) {
                methods.push(method.as_str());
            }
        }
    }
    if methods.is_empty() || methods.iter().any(|method| !READING.contains(method)) {
        return "No write budget: every write is journaled, and none counts".to_owned();
    }
    format!("Only {}: no write budget", methods.join(", "))
}

/// A sentence that begins as one. It must not begin with a name, whose case is its own; what could be
/// nothing else, as `k.toml` or `key_1`, stays as it is.
pub(crate) fn capital(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    let word = first.trim_end_matches([',', '.', ':', ';']);
    if !word.chars().all(|c| c.is_ascii_lowercase() || c == '\'') {
        return text.to_owned();
    }
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// Who acted, as a page says it.
pub(crate) fn actor(actor: &Actor) -> String {
    match actor {
        Actor::Budget(name) => format!("the budget {name}"),
        Actor::CommandLine(account) => format!("the command line ({account})"),
        Actor::Time => "the passing of time".to_owned(),
        Actor::Owner(name) => name.clone(),
        Actor::Token(name) => format!("the API token {name}"),
        Actor::KeySource(name) => format!("the key source {name}"),
        Actor::Stranger => "somebody who did not prove who they are".to_owned(),
        Actor::System => "the system".to_owned(),
        Actor::Link(what) => format!("a link in a message ({what})"),
    }
}

/// A number with thin groups: `12 480`.
pub(crate) fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push('\u{202f}');
        }
        grouped.push(digit);
    }
    grouped
}

/// A size: `1.4 MiB`.
#[expect(clippy::cast_precision_loss, reason = "two digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes} B") } else { format!("{amount:.1} {}", UNITS[unit]) }
}

/// A time as part of a file's name: `20261124T053000Z`.
pub(crate) fn file_time(time: keystile_core::time::Timestamp) -> String {
    let text = time.to_string();
    let text = text.split('.').next().unwrap_or(&text);
    text.chars().filter(|c| !matches!(c, '-' | ':')).collect::<String>() + "Z"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_sizes_are_easy_to_read() {
        assert_eq!(number(7), "7");
        assert_eq!(number(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_500_000), "1.4 MiB");
    }

    #[test]
    fn a_sentence_begins_as_one_and_a_name_stays_as_it_is() {
        for (text, shown) in [
            ("the store is full", "The store is full"),
            ("yes, it is", "Yes, it is"),
            ("", ""),
            ("k.toml has mistakes", "k.toml has mistakes"),
            ("owner-mail cannot send", "owner-mail cannot send"),
            ("key_1 is revoked", "key_1 is revoked"),
            ("iPhone is a name", "iPhone is a name"),
            ("/srv/k.toml has mistakes", "/srv/k.toml has mistakes"),
        ] {
            assert_eq!(capital(text), shown);
        }
    }

    #[test]
    fn a_plan_without_a_budget_says_what_it_allows() {
        let reads = |allow: &[&str]| PlanSpec {
            name: "visitor".to_owned(),
            is_keyless: true,
            allow: allow.iter().map(|rule| rule.parse().unwrap()).collect(),
            write_budgets: Vec::new(),
            rate_limits: Vec::new(),
            lock: LockRule::Never,
        };
        assert_eq!(
            plan(&reads(&["a: GET *", "b: GET,HEAD *"])),
            ["Only GET, HEAD: no write budget"]
        );
        for allow in [&["a: *"][..], &["a: GET *", "a: POST /x"], &["a: GET *", "b: *"]] {
            let said = plan(&reads(allow));
            assert_eq!(said, ["No write budget: every write is journaled, and none counts"]);
        }
    }

    #[test]
    fn a_plan_reads_as_sentences() {
        let spec = PlanSpec {
            name: "open".to_owned(),
            is_keyless: false,
            allow: Vec::new(),
            write_budgets: vec![
                BudgetSpec {
                    name: None,
                    quota: "20 per day".parse().unwrap(),
                    on: Vec::new(),
                    per: Per::Key,
                },
                BudgetSpec {
                    name: None,
                    quota: "3 per day calendar".parse().unwrap(),
                    on: vec!["bookmarks: DELETE *".parse().unwrap()],
                    per: Per::Application,
                },
            ],
            rate_limits: vec!["50 per second".parse().unwrap()],
            lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
        };
        assert_eq!(
            plan(&spec),
            [
                "20 writes in any day",
                "3 of bookmarks: DELETE * in each day, of all keys of an application together",
                "Then writes stop (reads go on) until you unlock the key",
                "At most 50 per second; faster calls are refused for a moment (429)",
            ]
        );
    }
}
