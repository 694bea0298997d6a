//! Mapping rules as operations.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use keystile_core::policy::template::PathTemplate;
use keystile_core::text::printable;
use serde_json::Value;

use super::quoted::quoted;
use crate::account::gateway::GatewayContent;
use crate::import::snapshot::ServiceSnapshot;

/// Methods that are reads, so that they cost nothing.
const READS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Methods that rules there can name and requests here can have.
pub(super) const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

/// A mapping rule.
pub(super) struct Rule {
    pub(super) method: String,
    pattern: String,
    pub(super) metric: String,
    delta: u64,
}

impl Rule {
    /// The rule as people know it.
    pub(super) fn said(&self) -> String {
        let Self { method, pattern, metric, .. } = self;
        format!("{} {} ({})", printable(method), printable(pattern), printable(metric))
    }

    /// The paths that it fits; `None` where they, or its method, cannot be said here.
    pub(super) fn templates(&self) -> Option<Vec<String>> {
        let is_method = self.method == "ANY" || METHODS.contains(&self.method.as_str());
        templates(&self.pattern).filter(|_| is_method)
    }
}

/// The rules by which gateways go, or else those that are to be promoted.
pub(super) fn rules_of(one: &ServiceSnapshot, content: Option<&GatewayContent>) -> Vec<Rule> {
    let text = |rule: &Value, name: &str| rule.get(name).and_then(Value::as_str).map(str::to_owned);
    let promoted: Vec<Rule> = content
        .iter()
        .flat_map(|content| content.rules())
        .filter_map(|rule| {
            Some(Rule {
                method: text(rule, "http_method")?,
                pattern: text(rule, "pattern")?,
                metric: text(rule, "metric_system_name").unwrap_or_default(),
                delta: rule.get("delta").and_then(Value::as_u64).unwrap_or(1),
            })
        })
        .collect();
    if !promoted.is_empty() {
        return promoted;
    }
    let named = |id| one.metrics.iter().find(|metric| metric.id == id);
    one.mapping_rules
        .iter()
        .map(|rule| Rule {
            method: rule.http_method.clone(),
            pattern: rule.pattern.clone(),
            metric: named(rule.metric).map(|one| one.system_name.clone()).unwrap_or_default(),
            delta: rule.delta,
        })
        .collect()
}

/// What all rules of one operation say.
#[derive(Default)]
struct Operation {
    delta: u64,
    said: BTreeSet<String>,
    has_query: bool,
}

/// Writes the operations of an API.
pub(super) fn write_operations(text: &mut String, rules: &[Rule], api: &str) {
    let mut operations: BTreeMap<String, Operation> = BTreeMap::new();
    for rule in rules {
        let method = if rule.method == "ANY" { "*" } else { rule.method.as_str() };
        for template in rule.templates().into_iter().flatten() {
            let entry = operations.entry(format!("{method} {template}")).or_default();
            entry.delta = entry.delta.max(rule.delta);
            entry.said.insert(rule.said());
            entry.has_query |= rule.pattern.contains('?');
        }
    }
    for (pattern, operation) in operations {
        let said: Vec<&str> = operation.said.iter().map(String::as_str).collect();
        let _ = writeln!(text, "\n# {}", said.join("; "));
        if operation.has_query {
            let said = "the condition on the query: here it is each call of the path";
            let _ = writeln!(text, "# not taken over: {said}");
        }
        let _ = writeln!(text, "[[api.{}.operation]]", quoted(api));
        let _ = writeln!(text, "match = {}", quoted(&pattern));
        write_cost(text, &pattern, operation.delta);
    }
    for rule in rules.iter().filter(|rule| rule.templates().is_none()) {
        let said = rule.said();
        let _ = writeln!(text, "\n# not taken over, because no operation is written so: {said}");
    }
}

/// What one call counts, where it is a write. The rest is said.
fn write_cost(text: &mut String, pattern: &str, delta: u64) {
    let is_read = READS.iter().any(|read| pattern.starts_with(read));
    let _ = match delta {
        1 => Ok(()),
        _ if is_read => {
            writeln!(text, "# not taken over: there it counts {delta}, here reads cost nothing")
        }
        0 => writeln!(text, "# not taken over: there it counts 0, here a write costs 1"),
        _ if pattern.starts_with('*') => writeln!(
            text,
            "# not taken over: there it counts {delta}; write an operation with this cost for each method that writes"
        ),
        _ => match u32::try_from(delta) {
            Ok(cost) => writeln!(text, "cost = {cost}"),
            Err(_) => writeln!(
                text,
                "cost = {}   # the highest that there is; there it counts {delta}",
                u32::MAX
            ),
        },
    };
}

/// The templates that a pattern of 3scale's stands for. It fits whatever begins so, unless it ends in `$`.
fn templates(pattern: &str) -> Option<Vec<String>> {
    let path = pattern.split('?').next().unwrap_or_default();
    let (path, is_whole) = match path.strip_suffix('$') {
        Some(path) => (path, true),
        None => (path, false),
    };
    if path == "/" && !is_whole {
        return Some(vec!["*".to_owned()]);
    }
    let base = path.trim_end_matches('/');
    let mut templates = Vec::new();
    if is_whole || base == path {
        templates.push(path.to_owned());
    }
    if !is_whole {
        templates.push(format!("{base}/*"));
    }
    let all_parse = templates.iter().all(|text| text.parse::<PathTemplate>().is_ok());
    all_parse.then_some(templates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_fits_what_begins_so_unless_it_ends_in_a_dollar() {
        let all = |pattern: &str| templates(pattern).map(|all| all.join(" "));
        for (pattern, expected) in [
            ("/", Some("*")),
            ("/$", Some("/")),
            ("/notes", Some("/notes /notes/*")),
            ("/notes/", Some("/notes/*")),
            ("/notes/{id}$", Some("/notes/{id}")),
            ("/notes?state={state}", Some("/notes /notes/*")),
            ("/v1/{a}.json$", Some("/v1/{a}.json")),
            ("/a//b", None),
            ("/{a}{b}", None),
            ("/a/*/b", None),
            ("notes", None),
            ("", None),
        ] {
            assert_eq!(all(pattern).as_deref(), expected, "{pattern:?}");
        }
    }
}
