//! Mapping rules as operations: the part of a configuration with which Keystile's own gate stands in front.
//!
//! A rule there counts each call that fits it, and all that fit are added up; here the strictest operation holds.
//! So a rule becomes an operation where its pattern can be one, with what it counts as its cost where it is a write.
//! What cannot be said here stands in a comment: the owner decides.

mod allow;
mod api;
mod key;
mod names;
mod operations;
mod plans;
mod quoted;

use api::write_api;
use names::Names;
use operations::{rules_of, write_operations};
use plans::Plans;

use super::snapshot::Snapshot;

const HEAD: &str = "\
# Written by `keystile threescale import --policy`. It is a start: look at what each operation costs, give the plans
# budgets, and try it with `keystile check`.
#
# 3scale adds up what all rules that fit a call count. Here the strictest operation that fits holds, and what no
# operation names is a read or a write by its method. A plan allows what the rules there name, without what it has
# disabled there.
";

/// The APIs, operations and plans of an account, as a configuration has them.
pub fn policy(snapshot: &Snapshot) -> String {
    let mut text = HEAD.to_owned();
    let mut names = Names::default();
    let mut plans = Plans::default();
    for one in &snapshot.services {
        let name = names.new_name(&one.service.system_name, one.service.id.get());
        let content = one.gateway_content();
        let rules = rules_of(one, content.as_ref());
        write_api(&mut text, one, (&name, content.as_ref()), snapshot.services.len() > 1);
        write_operations(&mut text, &rules, &name);
        plans.add(one, &name, &rules);
    }
    plans.write(&mut text);
    text
}
