//! What the audit says of a change of the account: what is different, without a secret.

use std::collections::BTreeSet;

use keystile_core::text::{printable, shortened};
use keystile_store::audit::EventKind;

use super::record::{ApplicationRecord, ServiceRecord};

/// So many differences are told one by one.
const SAID_MAX: usize = 8;
/// So much is shown of a text of the portal's.
const SHOWN_CHARS: usize = 60;

/// Something that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    pub(super) kind: EventKind,
    pub(super) detail: String,
}

fn shown(text: &str) -> String {
    format!("\"{}\"", printable(&shortened(text, SHOWN_CHARS)))
}

/// Differences of one kind in a sentence; none where there are none.
fn sentence(kind: EventKind, mut said: Vec<String>) -> Option<Difference> {
    let more = said.len().saturating_sub(SAID_MAX);
    said.truncate(SAID_MAX);
    if more > 0 {
        said.push(format!("{more} more changes"));
    }
    (!said.is_empty()).then(|| Difference { kind, detail: said.join("; ") })
}

/// What is different of an application.
pub(super) fn of_application(
    before: Option<&ApplicationRecord>,
    now: &ApplicationRecord,
) -> Option<Difference> {
    let mut said = Vec::new();
    let plan = if now.plan_name.is_empty() { &now.plan_id } else { &now.plan_name };
    let Some(before) = before else {
        let plan =
            if plan.is_empty() { String::new() } else { format!(" on the plan {}", shown(plan)) };
        said.push(format!("made{plan}, {}", shown(&now.state)));
        add_keys(&mut said, None, now);
        return sentence(EventKind::SourceApplicationChanged, said);
    };
    if before.state != now.state {
        said.push(format!("{} instead of {}", shown(&now.state), shown(&before.state)));
    }
    if (&before.plan_id, &before.plan_name) != (&now.plan_id, &now.plan_name) {
        said.push(format!("on the plan {}", shown(plan)));
    }
    if before.name != now.name {
        said.push("it has another name".to_owned());
    }
    add_keys(&mut said, Some(before), now);
    if before.referrer_filters != now.referrer_filters {
        said.push(match now.referrer_filters.len() {
            1 => "1 referrer filter".to_owned(),
            many => format!("{many} referrer filters"),
        });
    }
    if before.redirect_url != now.redirect_url {
        said.push("it has another redirect URL".to_owned());
    }
    sentence(EventKind::SourceApplicationChanged, said)
}

fn add_keys(said: &mut Vec<String>, before: Option<&ApplicationRecord>, now: &ApplicationRecord) {
    match (before.and_then(|before| before.user_key), now.user_key) {
        (None, Some(_)) => said.push("it has a user key".to_owned()),
        (Some(_), None) => said.push("it has no user key any more".to_owned()),
        (Some(known), Some(key)) if known != key => said.push("it has another user key".to_owned()),
        (None, None) | (Some(_), Some(_)) => {}
    }
    let known = before.map(|before| before.keys.as_slice()).unwrap_or_default();
    let added = now.keys.iter().filter(|key| !known.contains(key)).count();
    let gone = known.iter().filter(|key| !now.keys.contains(key)).count();
    for (count, what) in [(added, "added"), (gone, "deleted")] {
        match count {
            0 => {}
            1 => said.push(format!("an application key was {what}")),
            count => said.push(format!("{count} application keys were {what}")),
        }
    }
}

/// What is different of a service.
pub(super) fn of_service(before: Option<&ServiceRecord>, now: &ServiceRecord) -> Vec<Difference> {
    let access = match before {
        None => Vec::new(),
        Some(before) => access(before, now),
    };
    let terms = sentence(EventKind::SourceTermsChanged, terms(before, now));
    terms.into_iter().chain(sentence(EventKind::SourceAccessChanged, access)).collect()
}

fn access(before: &ServiceRecord, now: &ServiceRecord) -> Vec<String> {
    let mut said = Vec::new();
    if before.provider != now.provider {
        said.push("it has another provider key".to_owned());
    }
    let added = now.tokens.iter().filter(|token| !before.tokens.contains(token)).count();
    let gone = before.tokens.iter().filter(|token| !now.tokens.contains(token)).count();
    for (count, what) in [(added, "added"), (gone, "deleted")] {
        match count {
            0 => {}
            1 => said.push(format!("a service token was {what}")),
            count => said.push(format!("{count} service tokens were {what}")),
        }
    }
    said
}

fn terms(before: Option<&ServiceRecord>, now: &ServiceRecord) -> Vec<String> {
    let mut said = Vec::new();
    let Some(before) = before else {
        let tokens = now.tokens.len();
        let tokens = if tokens == 0 { String::new() } else { format!(", with {tokens} tokens") };
        return vec![format!("made, {}{tokens}", shown(&now.state))];
    };
    if before.state != now.state {
        said.push(format!("{} instead of {}", shown(&now.state), shown(&before.state)));
    }
    if before.backend_version != now.backend_version {
        said.push(format!("backend version {}", shown(&now.backend_version)));
    }
    if before.is_default != now.is_default {
        let is = if now.is_default { "it is" } else { "it is no longer" };
        said.push(format!("{is} its provider's default service"));
    }
    if before.referrer_filters_required != now.referrer_filters_required {
        let looks = if now.referrer_filters_required { "are" } else { "are no longer" };
        said.push(format!("referrers {looks} looked at"));
    }
    lines(&mut said, &metrics(before), &metrics(now));
    lines(&mut said, &limits(before), &limits(now));
    if before.alert_limits != now.alert_limits {
        let levels: Vec<_> = now.alert_limits.iter().map(|level| format!("{level}%")).collect();
        let levels = if levels.is_empty() { "no level".to_owned() } else { levels.join(", ") };
        said.push(format!("alerts at {levels}"));
    }
    said
}

fn metrics(record: &ServiceRecord) -> BTreeSet<String> {
    let line = |metric: &super::record::MetricRecord| format!("the metric {}", shown(&metric.name));
    record.metrics.iter().map(line).collect()
}

fn limits(record: &ServiceRecord) -> BTreeSet<String> {
    let name = |id: &str| {
        let found = record.metrics.iter().find(|metric| metric.id == id);
        shown(found.map_or(id, |metric| metric.name.as_str()))
    };
    let lines = record.limits.iter().map(|limit| {
        let (metric, plan) = (name(&limit.metric_id), shown(&limit.plan_id));
        format!("{} {metric} per {} on the plan {plan}", limit.max, limit.period)
    });
    lines.collect()
}

fn lines(said: &mut Vec<String>, before: &BTreeSet<String>, now: &BTreeSet<String>) {
    said.extend(now.difference(before).map(|line| format!("now {line}")));
    said.extend(before.difference(now).map(|line| format!("no longer {line}")));
}
