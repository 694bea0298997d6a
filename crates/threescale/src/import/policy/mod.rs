//! Mapping rules as operations: the part of a configuration with which Keystile's own gate stands in front.
//!
//! A rule there counts each call that fits it, and all that fit are added up; here the strictest operation holds.
//! So a rule becomes an operation where its pattern can be one, with what it counts as its cost where it is a write.
//! What cannot be said here stands in a comment: the owner decides.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use keystile_core::policy::template::PathTemplate;
use keystile_core::text::printable;
use serde_json::Value;

mod key;
mod quoted;

use key::write_key;
use quoted::quoted;

use super::snapshot::{ServiceSnapshot, Snapshot};
use crate::account::gateway::GatewayContent;

/// The longest name in a configuration.
const NAME_CHARS_MAX: usize = 64;
/// Methods that are reads, so that they cost nothing.
const READS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];
/// Methods that rules there can name and requests here can have.
const METHODS: [&str; 7] = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

const HEAD: &str = "\
# Written by `keystile threescale import --policy`. It is a start: look at what each operation costs, give the plans
# budgets, and try it with `keystile check`.
#
# 3scale adds up what all rules that fit a call count. Here the strictest operation that fits holds, and what no
# operation names is a read or a write by its method.
";

/// The APIs, operations and plans of an account, as a configuration has them.
pub fn policy(snapshot: &Snapshot) -> String {
    let mut text = HEAD.to_owned();
    let mut names = Names::default();
    let mut plans: BTreeMap<String, Plan> = BTreeMap::new();
    for one in &snapshot.services {
        let name = names.new_name(&one.service.system_name, one.service.id.get());
        write_api(&mut text, one, &name, snapshot.services.len() > 1);
        for plan in &one.plans {
            let there = printable(&plan.application_plan.name).into_owned();
            let here = plans.entry(there).or_default();
            here.apis.insert(name.clone());
            here.limits.extend(plan.limits.iter().map(|limit| {
                let metric = one.metrics.iter().find(|metric| metric.id == limit.metric);
                let metric = metric.map_or("?", |metric| metric.system_name.as_str());
                format!(
                    "{name}: {} {} per {}",
                    limit.value,
                    printable(metric),
                    printable(&limit.period)
                )
            }));
        }
    }
    write_plans(&mut text, &plans);
    text
}

/// A plan there, of all services that have one of its name.
#[derive(Default)]
struct Plan {
    apis: BTreeSet<String>,
    limits: BTreeSet<String>,
}

/// Names that are taken.
#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    /// A name that a configuration can have and that nothing has yet.
    fn new_name(&mut self, text: &str, number: u64) -> String {
        let is_kept = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        let kept: String = text.chars().map(|c| if is_kept(c) { c } else { '-' }).collect();
        let kept = kept.trim_matches(['-', '_', '.']).to_ascii_lowercase();
        let kept: String = kept.chars().take(NAME_CHARS_MAX - 21).collect();
        let name = if kept.is_empty() { number.to_string() } else { kept };
        let name = if self.0.contains(&name) { format!("{name}-{number}") } else { name };
        self.0.insert(name.clone());
        name
    }
}

fn write_api(text: &mut String, one: &ServiceSnapshot, name: &str, needs_hosts: bool) {
    let content = one.gateway_content();
    let proxy = |field: &str| content.as_ref()?.proxy(field)?.as_str();
    let _ = writeln!(text, "\n# {} ({})", printable(&one.service.name), one.service.id);
    let _ = writeln!(text, "[api.{}]", quoted(name));
    match proxy("api_backend").and_then(origin) {
        Some((origin, path)) => {
            let _ = writeln!(text, "upstream = {}", quoted(&origin));
            if !path.is_empty() {
                let _ = writeln!(text, "# there, {} stands before each path", quoted(&path));
            }
        }
        None => {
            let _ =
                writeln!(text, "upstream = \"http://127.0.0.1:3000\"   # write where the API is");
        }
    }
    let hosts: Vec<String> = content
        .iter()
        .flat_map(GatewayContent::hosts)
        .map(str::to_ascii_lowercase)
        .filter(|host| is_host(host))
        .map(|host| quoted(&host))
        .collect();
    if !hosts.is_empty() {
        let _ = writeln!(text, "hosts = [{}]", hosts.join(", "));
    } else if needs_hosts {
        let host =
            format!("{name}.invalid").replace(['_', '.'], "-").replace("-invalid", ".invalid");
        let _ = writeln!(text, "hosts = [{}]   # write the host that callers name", quoted(&host));
    }
    write_key(text, &one.service.authentication, proxy);
    write_operations(text, one, name, content.as_ref());
}

/// A rule as it is written here.
struct Rule {
    method: String,
    pattern: String,
    metric: String,
    delta: u64,
}

fn rules_of(one: &ServiceSnapshot, content: Option<&GatewayContent>) -> Vec<Rule> {
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

fn write_operations(
    text: &mut String,
    one: &ServiceSnapshot,
    api: &str,
    content: Option<&GatewayContent>,
) {
    let mut operations: BTreeMap<String, (u64, BTreeSet<String>)> = BTreeMap::new();
    let mut left = Vec::new();
    for rule in rules_of(one, content) {
        let Rule { method, pattern, metric, delta } = rule;
        let said =
            format!("{} {} ({})", printable(&method), printable(&pattern), printable(&metric));
        let is_method = method == "ANY" || METHODS.contains(&method.as_str());
        let Some(templates) = templates(&pattern).filter(|_| is_method) else {
            left.push(said);
            continue;
        };
        let method = if method == "ANY" { "*" } else { method.as_str() };
        for template in templates {
            let entry = operations.entry(format!("{method} {template}")).or_default();
            entry.0 = entry.0.max(delta);
            entry.1.insert(said.clone());
        }
    }
    for (operation, (delta, said)) in operations {
        let said: Vec<&str> = said.iter().map(String::as_str).collect();
        let _ = writeln!(text, "\n# {}", said.join("; "));
        let _ = writeln!(text, "[[api.{}.operation]]", quoted(api));
        let _ = writeln!(text, "match = {}", quoted(&operation));
        let is_read = READS.iter().any(|read| operation.starts_with(read));
        if !is_read && !operation.starts_with('*') && (2..=u64::from(u32::MAX)).contains(&delta) {
            let _ = writeln!(text, "cost = {delta}");
        }
    }
    for said in left {
        let _ = writeln!(text, "\n# not taken over, because no operation is written so: {said}");
    }
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

fn write_plans(text: &mut String, plans: &BTreeMap<String, Plan>) {
    let mut names = Names::default();
    let mut stand_for = Vec::new();
    for (number, (there, plan)) in (1_u64..).zip(plans) {
        let here = names.new_name(there, number);
        let _ = writeln!(text, "\n# the plan {} there", quoted(there));
        for limit in &plan.limits {
            let _ = writeln!(text, "#   {limit}");
        }
        if plan.apis.len() > 1 {
            let said = "# several services there have a plan of this name, and its keys may call all of these:";
            let _ = writeln!(text, "{said}");
        }
        let _ = writeln!(text, "[plan.{}]", quoted(&here));
        let allow: Vec<String> = plan.apis.iter().map(|api| quoted(&format!("{api}: *"))).collect();
        let _ = writeln!(text, "allow = [{}]", allow.join(", "));
        stand_for.push(format!("{} = {}", quoted(there), quoted(&here)));
    }
    if !stand_for.is_empty() {
        let _ =
            writeln!(text, "\n# [threescale_backend]\n# plans = {{ {} }}", stand_for.join(", "));
    }
}

/// The origin of an address, and its path where it has one.
fn origin(address: &str) -> Option<(String, String)> {
    let parsed = url::Url::parse(address).ok()?;
    let is_plain = matches!(parsed.scheme(), "http" | "https")
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.host_str().is_some();
    let path = parsed.path().trim_end_matches('/').to_owned();
    is_plain.then(|| (parsed.origin().ascii_serialization(), path))
}

fn is_host(host: &str) -> bool {
    let is_host_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(is_host_char)
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !host.contains("..")
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

    #[test]
    fn names_can_be_kept_and_are_told_apart() {
        let mut names = Names::default();
        let long = "x".repeat(200);
        let made =
            ["My API!", "my-api", "", "…", long.as_str()].map(|text| names.new_name(text, 7));
        assert_eq!(made[..4], ["my-api", "my-api-7", "7", "7-7"]);
        assert!(made[4].len() <= NAME_CHARS_MAX);
    }
}
