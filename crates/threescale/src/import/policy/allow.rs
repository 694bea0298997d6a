//! What the keys of a plan may call: the operations of the rules, without what the plan has disabled there.
//!
//! A gateway passes no call that no rule fits, and none that counts as something of which the plan has 0. Where an
//! operation that is allowed would include one that is disabled, it is left out: the plan is never wider than there.

use std::collections::{BTreeMap, BTreeSet};

use super::operations::{METHODS, Rule};
use crate::import::snapshot::{PlanSnapshot, ServiceSnapshot};
use crate::portal::records::{Metric, MetricId};

/// What a plan may call of one service.
pub(super) struct Allowed {
    /// Paths with a method each.
    operations: BTreeSet<(String, String)>,
    /// What is disabled there, and what is not allowed here because of it.
    pub(super) said: BTreeSet<String>,
}

impl Allowed {
    /// What a plan may call by these rules.
    pub(super) fn of(one: &ServiceSnapshot, rules: &[Rule], plan: &PlanSnapshot) -> Self {
        let disabled = disabled(one, plan);
        let is_closed = |rule: &&Rule| disabled.contains(rule.metric.as_str());
        let (closed, open): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(is_closed);
        let mut allowed = Self { operations: BTreeSet::new(), said: BTreeSet::new() };
        for rule in &closed {
            let unknown = if rule.templates().is_none() {
                ", but what is allowed may include it"
            } else {
                ""
            };
            allowed.said.insert(format!("disabled there: {}{unknown}", rule.said()));
        }
        let closed: Vec<(&str, String)> = closed
            .iter()
            .flat_map(|rule| {
                let templates = rule.templates().into_iter().flatten();
                templates.map(|template| (rule.method.as_str(), template))
            })
            .collect();
        for rule in open {
            for template in rule.templates().into_iter().flatten() {
                for method in methods(&rule.method) {
                    let includes = |(closed, path): &&(&str, String)| {
                        has_method(method, closed) && paths_meet(&template, path)
                    };
                    if let Some((with, path)) = closed.iter().find(includes) {
                        let said = format!(
                            "not allowed: {method} {template}, which includes {with} {path}"
                        );
                        allowed.said.insert(said);
                    } else {
                        allowed.operations.insert((template.clone(), method.to_owned()));
                    }
                }
            }
        }
        allowed
    }

    /// What two plans of one name both allow.
    pub(super) fn and(&mut self, other: Self) {
        self.operations.retain(|operation| other.operations.contains(operation));
        self.said.extend(other.said);
    }

    /// Methods and a path each, as a configuration has them.
    pub(super) fn patterns(&self) -> Vec<String> {
        let mut by_path: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (template, method) in &self.operations {
            by_path.entry(template).or_default().push(method);
        }
        let all = by_path.into_iter().map(|(template, methods)| {
            if methods.len() == METHODS.len() {
                format!("* {template}")
            } else {
                format!("{} {template}", methods.join(","))
            }
        });
        all.collect()
    }
}

/// The names of what a plan has 0 of, or of a metric above it.
fn disabled<'s>(one: &'s ServiceSnapshot, plan: &PlanSnapshot) -> BTreeSet<&'s str> {
    let none: BTreeSet<MetricId> =
        plan.limits.iter().filter(|limit| limit.value == 0).map(|limit| limit.metric).collect();
    let parent = |metric: &&'s Metric| {
        let id = metric.parent?;
        one.metrics.iter().find(|other| other.id == id)
    };
    let is_disabled = |metric: &&'s Metric| {
        // A circle of parents ends after as many steps as there are metrics.
        let mut line = std::iter::successors(Some(*metric), parent).take(one.metrics.len());
        line.any(|metric| none.contains(&metric.id))
    };
    one.metrics.iter().filter(is_disabled).map(|metric| metric.system_name.as_str()).collect()
}

fn methods(method: &str) -> Vec<&str> {
    if method == "ANY" { METHODS.to_vec() } else { vec![method] }
}

/// Whether what allows one method allows another rule's. GET allows HEAD.
fn has_method(method: &str, closed: &str) -> bool {
    closed == "ANY" || closed == method || (method == "GET" && closed == "HEAD")
}

/// Whether some path fits both templates, or may.
fn paths_meet(one: &str, other: &str) -> bool {
    let segments = |path: &str| -> Vec<String> {
        path.trim_start_matches('/').split('/').map(str::to_owned).collect()
    };
    let (one, other) = (segments(one), segments(other));
    for (a, b) in one.iter().zip(&other) {
        if a == "*" || b == "*" {
            return true;
        }
        if a != b && !a.contains('{') && !b.contains('{') {
            return false;
        }
    }
    let next = |path: &[String], length: usize| path.get(length).is_some_and(|next| next == "*");
    one.len() == other.len() || next(&one, other.len()) || next(&other, one.len())
}
