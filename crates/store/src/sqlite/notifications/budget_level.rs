//! Budget levels: that a write brought a budget to a share of it for which a rule waits.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::budget::{Debits, Per};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::notifications::plan::NotedLevel;
use keystile_core::notifications::trigger::Trigger;
use keystile_core::policy::{Plan, Policy};
use keystile_core::time::Timestamp;
use rusqlite::{OptionalExtension, params};

use crate::error::Result;
use crate::key_cache::KeyEntry;
use crate::reservation::BudgetStanding;
use crate::sqlite::audit::event::{Event, EventKind, Facts};
use crate::sqlite::notifications::notice::{key_facts, notice_key};
use crate::sqlite::writer::write_tx::WriteTx;

/// A level that a write reached.
struct Reached {
    /// The rule's place.
    rule: usize,
    /// Whose the budget is: those who share it reach a level once, and not one by one.
    subject: String,
    per: Per,
    budget: NoticeBudget,
    level: u8,
    /// When the budget's window has passed.
    until: Timestamp,
}

/// Records the levels of budgets that a write reached. Called on the way of every write, so what usually
/// holds, that no level is reached, is found by arithmetic alone.
pub(crate) fn record_levels(
    tx: &mut WriteTx<'_>,
    key: &KeyEntry,
    (policy, plan): (&Policy, &Plan),
    standings: &[BudgetStanding],
    taken: &Debits,
) -> Result<()> {
    let rules = tx.memory.watching.load();
    let Some(lowest) = rules.lowest_level() else {
        return Ok(());
    };
    let is_near = |standing: &&BudgetStanding| {
        let amount = u64::from(plan.budgets()[standing.place].quota.amount);
        standing.used * 100 >= amount * u64::from(lowest)
    };
    let mut near = standings.iter().filter(is_near).peekable();
    if near.peek().is_none() {
        return Ok(());
    }
    let rules = Arc::clone(&rules);
    let named = notice_key(tx.connection, key.row)?;
    for standing in near {
        let budget = &plan.budgets()[standing.place];
        let (amount, used) = (budget.quota.amount, standing.used);
        let before = used.saturating_sub(u64::from(taken.amount_of(standing.place)));
        let facts = key_facts(named.as_ref());
        for (place, rule) in rules.waiting_for(Trigger::BudgetLevel, Some(facts)) {
            let Some(level) = rule.level_reached(amount, before, used) else {
                continue;
            };
            let reached = Reached {
                rule: place,
                subject: match budget.per {
                    Per::Key => level_subject(Per::Key, key.row, ""),
                    Per::Application => level_subject(Per::Application, key.application.row, ""),
                    Per::Plan => level_subject(Per::Plan, 0, plan.name()),
                },
                per: budget.per,
                budget: NoticeBudget {
                    name: budget.name.clone(),
                    quota: budget.quota.to_string(),
                    amount,
                    used,
                    level: Some(level),
                },
                level,
                until: budget.quota.window.passed_at(tx.now, policy.time_zone()),
            };
            record_level(tx, key, &rule.name, reached)?;
        }
    }
    Ok(())
}

fn record_level(tx: &mut WriteTx<'_>, key: &KeyEntry, rule: &str, reached: Reached) -> Result<()> {
    let Reached { rule: place, subject, per, budget, level, until } = reached;
    let noted = noted(tx, &subject, rule, &budget.name)?;
    if !NotedLevel::is_news(noted, level, tx.now) {
        return Ok(());
    }
    tx.connection
        .prepare_cached(
            "INSERT OR REPLACE INTO budget_level (rule, subject, budget, level, until)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![rule, subject, budget.name, level, until.0])?;
    let shared = match per {
        Per::Key => "",
        Per::Application => ", which all keys of the application share",
        Per::Plan => ", which all keys of the plan share",
    };
    let detail = format!(
        "used {} of {}, {level} % of the write budget {}{shared}",
        budget.used, budget.quota, budget.name
    );
    let actor = Actor::Budget(budget.name.clone());
    let event = Event::of_key(EventKind::BudgetLevelReached, key, &actor, &detail);
    tx.record_event(&Event { facts: Facts::Level { rule: place, budget }, ..event })
}

/// The level of which a rule has notified last. By the primary key.
fn noted(tx: &WriteTx<'_>, subject: &str, rule: &str, budget: &str) -> Result<Option<NotedLevel>> {
    let mut statement = tx.connection.prepare_cached(
        "SELECT level, until FROM budget_level WHERE rule = ?1 AND subject = ?2 AND budget = ?3",
    )?;
    let found = statement.query_row(params![rule, subject, budget], |row| {
        Ok(NotedLevel { level: row.get(0)?, until: Timestamp(row.get(1)?) })
    });
    Ok(found.optional()?)
}

/// Whose budgets reach levels, as a text: by row number, or by name for a plan.
pub(crate) fn level_subject(per: Per, row: i64, plan: &str) -> String {
    match per {
        Per::Key | Per::Application => format!("{per}:{row}"),
        Per::Plan => format!("{per}:{plan}"),
    }
}

/// Budgets that begin anew reach their levels anew.
pub(crate) fn forget_levels(tx: &WriteTx<'_>, subject: &str) -> Result<()> {
    tx.connection
        .prepare_cached("DELETE FROM budget_level WHERE subject = ?1")?
        .execute([subject])?;
    Ok(())
}
