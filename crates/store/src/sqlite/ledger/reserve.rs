//! Reserving room for a write: lock check, debit and journal intent in the writer's transaction.

use std::sync::Arc;

use keystile_core::decision::{ApplicationState, KeyState, locked};
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::lock::{Actor, Lock, LockRule};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::policy::Plan;
use keystile_core::refusal::{LockNotice, Reason, Refusal};

use crate::error::Result;
use crate::key_cache::KeyEntry;
use crate::reservation::{BudgetStanding, Settlement};
pub use crate::reservation::{
    RefusedRecord, ReserveAnswer, ReserveRefused, ReserveRequest, Reserved, Subject,
};
use crate::sending::Sending;
use crate::sqlite::journal::record::{self, NewRecord};
use crate::sqlite::ledger::debit::Debit;
use crate::sqlite::writer::write_tx::{WriteTx, WriterState};

pub(crate) fn reserve(work: &mut WriteTx<'_>, request: &ReserveRequest) -> Result<ReserveAnswer> {
    let mut objection = request.permit.objection().map(|refusal| refusal.reason);
    let now = work.now;
    if let Err(refusal) = check_again(work, &request.subject) {
        if !request.is_observed {
            return Ok(Err(Box::new(refused(refusal, request.permit.plan(), Vec::new()))));
        }
        objection = objection.or(Some(refusal.reason));
    }
    let subject = request.subject.number();
    let sending = Arc::new(Sending::new(work.memory.clock));
    let mut standings = Vec::new();
    if let Some(plan) = request.permit.plan() {
        let debit = Debit {
            subject,
            policy: &request.policy,
            plan,
            budgets: request.permit.budgets(),
            cost: request.cost,
        };
        let WriterState { ledger, index, open, .. } = &mut *work.memory;
        ledger.open(work.connection, (index, open), &debit, now)?;
        if let Some(place) = work.memory.ledger.exhausted(&debit, now) {
            if !request.is_observed {
                return exhausted(work, request, &debit, place).map(Err);
            }
            objection = objection.or(Some(over_budget(plan, &request.subject)));
        }
        let id = work.memory.last_id + 1;
        work.memory.ledger.hold(&debit, id, &sending, now);
        standings = work.memory.ledger.standings(&debit, now);
        if let Subject::Key(key) = &request.subject {
            work.tell_levels(key, &request.policy, plan, &standings, request.cost)?;
        }
    }
    let id = insert(work, request, Outcome::Pending, objection, request.cost)?;
    work.memory.open.insert(id, sending.clone());
    Ok(Ok(Box::new(Reserved {
        id: RecordId(id),
        time: now,
        plan: request.permit.plan().cloned(),
        standings,
        count: request.permit.count(),
        policy: request.policy.clone(),
        subject,
        budgets: request.permit.budgets().into(),
        cost: request.cost,
        is_observed: request.is_observed,
        sending,
    })))
}

/// The lock check that counts: the decision's came from memory, some time ago.
fn check_again(work: &WriteTx<'_>, subject: &Subject) -> std::result::Result<(), Refusal> {
    let Subject::Key(key) = subject else {
        return Ok(());
    };
    match (work.state_of(key), key.application.state()) {
        (KeyState::Revoked, _) => Err(Reason::KeyRevoked.into()),
        (_, ApplicationState::Suspended) => Err(Reason::ApplicationSuspended.into()),
        (KeyState::Locked(lock), ApplicationState::Active) => Err(locked(lock, work.now)),
        (KeyState::Active, ApplicationState::Active) => Ok(()),
    }
}

fn refused(
    refusal: Refusal,
    plan: Option<&Arc<Plan>>,
    standings: Vec<BudgetStanding>,
) -> ReserveRefused {
    ReserveRefused { refusal, plan: plan.cloned(), standings, is_recorded: false }
}

fn over_budget(plan: &Plan, subject: &Subject) -> Reason {
    match (plan.spec().lock, subject) {
        (LockRule::Lock { .. }, Subject::Key(_)) => Reason::KeyLocked,
        (LockRule::Never, _) | (LockRule::Lock { .. }, Subject::Address(_) | Subject::Nobody) => {
            Reason::BudgetExhausted
        }
    }
}

/// Refuses the attempt past the budget and, where the plan says so, locks the key.
fn exhausted(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    debit: &Debit<'_>,
    place: usize,
) -> Result<Box<ReserveRefused>> {
    let standings = work.memory.ledger.standings(debit, work.now);
    let rule = if work.memory.ledger.is_only_late(debit, place, work.now) {
        LockRule::Never
    } else {
        debit.plan.spec().lock
    };
    let (LockRule::Lock { level, until }, Subject::Key(key)) = (rule, &request.subject) else {
        let mut refusal = Refusal::new(Reason::BudgetExhausted);
        refusal.retry_after_secs = work.memory.ledger.room_in_secs(debit, place, work.now);
        return Ok(Box::new(refused(refusal, Some(debit.plan), standings)));
    };
    let budget = &debit.plan.budgets()[place];
    let facts = &request.facts;
    let earlier_locks = earlier_locks(work, key)?;
    let lock = Lock {
        level,
        reason: format!("went over its write budget {}, {}", budget.name, budget.quota),
        actor: Actor::Budget(budget.name.clone()),
        since: work.now,
        until: until.end(work.now, earlier_locks),
        evidence: Some(format!("{} {} from {}", facts.method, facts.path, facts.address)),
    };
    let used = standings.iter().find(|standing| standing.place == place);
    let over = NoticeBudget {
        name: budget.name.clone(),
        quota: budget.quota.to_string(),
        amount: budget.quota.amount,
        used: used.map_or(0, |standing| standing.used),
        level: None,
    };
    let (lock, _) = work.lock_key_over(key, lock, Some(over))?;
    insert(work, request, Outcome::Refused, Some(Reason::KeyLocked), 0)?;
    let refusal = locked(LockNotice { level: lock.level, until: lock.until }, work.now);
    Ok(Box::new(ReserveRefused {
        is_recorded: true,
        ..refused(refusal, Some(debit.plan), standings)
    }))
}

fn earlier_locks(work: &WriteTx<'_>, key: &KeyEntry) -> Result<u32> {
    let mut statement = work.connection.prepare_cached("SELECT locks FROM key WHERE id = ?1")?;
    Ok(statement.query_row([key.row], |row| row.get(0))?)
}

fn insert(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    outcome: Outcome,
    reason: Option<Reason>,
    cost: u32,
) -> Result<i64> {
    let id = work.next_id();
    let subject = request.subject.number();
    let status = (outcome == Outcome::Refused).then(|| reason.map(Reason::status)).flatten();
    let plan = request.permit.plan().map(|plan| plan.name());
    let facts = &request.facts;
    let record = NewRecord {
        id,
        time: work.now,
        subject,
        plan,
        facts,
        status,
        outcome,
        reason,
        cost,
        count: 1,
    };
    record::insert(work.connection, &record)?;
    work.memory.index.push(subject, id, work.now, cost);
    Ok(id)
}

/// Writes down what became of a write, and gives back what it did not use.
pub(crate) fn settle(
    work: &mut WriteTx<'_>,
    reserved: &Reserved,
    settlement: &Settlement,
) -> Result<()> {
    let id = reserved.id.0;
    record::settle(work.connection, id, settlement)?;
    if settlement.outcome != Outcome::NotSent {
        // Where nobody noted it.
        reserved.sending.note();
    }
    let is_given_back = reserved.is_given_back(settlement.outcome);
    if reserved.cost > 0
        && !is_given_back
        && let Some(began) = reserved.sending.began()
    {
        let row = (reserved.subject, id);
        work.memory.index.set_time(work.connection, row, began)?;
        work.memory.ledger.note_sent(reserved.subject, &reserved.policy);
    }
    if is_given_back && reserved.cost > 0 {
        record::forgive(work.connection, id)?;
        work.memory.index.forgive(work.connection, reserved.subject, id)?;
        if let Some(plan) = &reserved.plan {
            let debit = Debit {
                subject: reserved.subject,
                policy: &reserved.policy,
                plan,
                budgets: &reserved.budgets,
                cost: reserved.cost,
            };
            work.memory.ledger.give_back(&debit, id, &reserved.sending);
        }
    }
    work.memory.open.remove(&id);
    Ok(())
}

pub(crate) fn record_refused(work: &mut WriteTx<'_>, refused: &RefusedRecord) -> Result<()> {
    let id = work.next_id();
    let subject = refused.key.as_ref().map_or(0, |key| key.row);
    let plan = refused.key.as_ref().map(|key| key.plan());
    let record = NewRecord {
        id,
        time: work.now,
        subject,
        plan: plan.as_deref(),
        facts: &refused.facts,
        status: (refused.outcome == Outcome::Refused).then(|| refused.reason.status()),
        outcome: refused.outcome,
        reason: Some(refused.reason),
        cost: 0,
        count: refused.count,
    };
    record::insert(work.connection, &record)?;
    work.memory.index.push(subject, id, work.now, 0);
    Ok(())
}
