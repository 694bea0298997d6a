//! Reserving room for a write: lock check, debit and journal intent in the writer's transaction.

use std::sync::Arc;

use keystile_core::budget::{self, Debit, Departure, Exhausted, Hold};
use keystile_core::decision::locked;
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::policy::Plan;
use keystile_core::refusal::{LockNotice, Reason, Refusal};
use keystile_core::reservation;

use crate::error::Result;
use crate::key_cache::KeyEntry;
use crate::reservation::{BudgetStanding, Settlement};
pub(crate) use crate::reservation::{
    RefusedRecord, ReserveAnswer, ReserveRefused, ReserveRequest, Reserved, Sender, Subject,
};
use crate::sending::Sending;
use crate::sqlite::journal::record::{self, NewRecord};
use crate::sqlite::journal::subject;
use crate::sqlite::journal::subject_index::RecordedDebit;
use crate::sqlite::ledger::{Terms, amounts};
use crate::sqlite::notifications::budget_level::record_levels;
use crate::sqlite::writer::write_tx::{WriteTx, WriterState};

/// Reserves the cost of a write in each budget that counts it.
pub(crate) fn reserve(work: &mut WriteTx<'_>, request: &ReserveRequest) -> Result<ReserveAnswer> {
    let (places, cost) = (request.permit.budgets(), request.permit.cost());
    let debit = request.subject.of_budgets().map(|subject| Debit::of_each(subject, places, cost));
    reserve_debit(work, request, debit)
}

/// Reserves what a debit says, which may be another amount in each budget.
pub(crate) fn reserve_debit(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    debit: Option<Debit>,
) -> Result<ReserveAnswer> {
    let mut objection = request.permit.objection();
    let cost = request.permit.cost();
    let now = work.now;
    if let Err(refusal) = check_again(work, &request.subject) {
        if !request.is_observed() {
            return Ok(Err(Box::new(refused(refusal, request.permit.plan(), Vec::new()))));
        }
        objection = objection.or(Some(refusal.reason));
    }
    let sending = Arc::new(Sending::new(work.memory.clock));
    let debit = debit.filter(|_| request.permit.plan().is_some());
    let (mut standings, mut amounts) = (Vec::new(), None);
    if let (Some(plan), Some(taken)) = (request.permit.plan(), &debit) {
        let subject = taken.subject;
        let (policy, zone) = (&*request.policy, request.policy.time_zone());
        let WriterState { ledger, index, open, last_id, .. } = &mut *work.memory;
        let terms = Terms { policy, plan };
        let account = ledger.open(work.connection, (index, open), subject, terms, now)?;
        if let Err(exhausted) = account.check(&taken.amounts, now, zone) {
            if !request.is_observed() {
                let standings = account.standings(taken.places(), now, zone);
                return over_budget(work, request, plan, (subject, &exhausted), standings).map(Err);
            }
            objection = objection.or(Some(reservation::objection(plan.spec().lock, subject)));
        }
        let (record, departure) = (*last_id + 1, sending.clone());
        account.hold(Hold { record, reserved: now, amounts: taken.amounts.clone(), departure });
        standings = account.standings(taken.places(), now, zone);
        amounts = amounts::beside_cost(taken, plan, request.permit.budgets(), cost);
        if let Subject::Key(key) = &request.subject {
            let budgets = (&*request.policy, &**plan);
            record_levels(work, key, budgets, &standings, taken)?;
        }
    }
    let id = insert(work, request, Outcome::Pending, objection, (cost, amounts))?;
    if request.sender == Sender::OtherGateway {
        record::set_pending_elsewhere(work.connection, id)?;
    }
    work.memory.open.insert(id, sending.clone());
    Ok(Ok(Box::new(Reserved {
        id: RecordId(id),
        time: now,
        plan: request.permit.plan().cloned(),
        standings,
        count: request.permit.count(),
        policy: request.policy.clone(),
        subject: number_of(&request.subject),
        debit,
        cost,
        is_observed: request.is_observed(),
        sending,
    })))
}

/// The lock check that counts: the decision's came from memory, some time ago.
fn check_again(work: &WriteTx<'_>, subject: &Subject) -> std::result::Result<(), Refusal> {
    match subject {
        Subject::Key(key) => {
            reservation::check(work.state_of(key), key.application.state(), work.now)
        }
        Subject::Address(_) | Subject::Nobody => Ok(()),
    }
}

fn refused(
    refusal: Refusal,
    plan: Option<&Arc<Plan>>,
    standings: Vec<BudgetStanding>,
) -> ReserveRefused {
    ReserveRefused { refusal, plan: plan.cloned(), standings, is_recorded: false }
}

/// Refuses the attempt past the budget and, where the plan says so, locks the key.
fn over_budget(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    plan: &Arc<Plan>,
    (subject, exhausted): (budget::Subject, &Exhausted),
    standings: Vec<BudgetStanding>,
) -> Result<Box<ReserveRefused>> {
    let (Some(lock), Subject::Key(key)) =
        (reservation::lock_for(plan.spec().lock, subject, exhausted), &request.subject)
    else {
        return Ok(Box::new(refused(reservation::refusal(exhausted), Some(plan), standings)));
    };
    let budget = &plan.budgets()[exhausted.place];
    let earlier_locks = earlier_locks(work, key)?;
    let lock = reservation::lock_of(budget, lock, earlier_locks, &request.facts, work.now);
    let used = standings.iter().find(|standing| standing.place == exhausted.place);
    let over = NoticeBudget {
        name: budget.name.clone(),
        quota: budget.quota.to_string(),
        amount: budget.quota.amount,
        used: used.map_or(0, |standing| standing.used),
        level: None,
    };
    let (lock, _) = work.lock_key_over(key, lock, Some(over))?;
    insert(work, request, Outcome::Refused, Some(Reason::KeyLocked), (0, None))?;
    let refusal = locked(LockNotice { level: lock.level, until: lock.until }, work.now);
    Ok(Box::new(ReserveRefused { is_recorded: true, ..refused(refusal, Some(plan), standings) }))
}

/// The subject's number in the journal.
fn number_of(subject: &Subject) -> i64 {
    subject.of_budgets().and_then(subject::number).unwrap_or(subject::NOBODY)
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
    (cost, amounts): (u32, Option<String>),
) -> Result<i64> {
    let id = work.next_id();
    let subject = number_of(&request.subject);
    let status = (outcome == Outcome::Refused).then(|| reason.map(Reason::status)).flatten();
    let plan = request.permit.plan().map(|plan| plan.name());
    let facts = &request.facts;
    let record = NewRecord {
        id,
        node: work.memory.node.id(),
        time: work.now,
        subject,
        plan,
        facts,
        status,
        outcome,
        reason,
        cost,
        amounts: amounts.as_deref(),
        count: 1,
    };
    record::insert(work.connection, &record)?;
    let amounts = amounts.map(Into::into);
    work.memory.index.push(subject, RecordedDebit { id, time: work.now, cost, amounts });
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
        if let Some(debit) = &reserved.debit {
            work.memory.ledger.note_departures(debit.subject, &reserved.policy);
        }
    }
    if is_given_back && reserved.cost > 0 {
        record::forgive(work.connection, id)?;
        work.memory.index.forgive(work.connection, reserved.subject, id)?;
        if let (Some(plan), Some(debit)) = (&reserved.plan, &reserved.debit) {
            let terms = Terms { policy: &reserved.policy, plan };
            work.memory.ledger.give_back(debit, terms, id, &reserved.sending);
        }
    }
    work.memory.open.remove(&id);
    Ok(())
}

pub(crate) fn record_refused(work: &mut WriteTx<'_>, refused: &RefusedRecord) -> Result<()> {
    let id = work.next_id();
    let subject = refused.key.as_ref().map_or(subject::NOBODY, |key| key.row);
    let plan = refused.key.as_ref().map(|key| key.plan());
    let record = NewRecord {
        id,
        node: work.memory.node.id(),
        time: work.now,
        subject,
        plan: plan.as_deref(),
        facts: &refused.facts,
        status: (refused.outcome == Outcome::Refused).then(|| refused.reason.status()),
        outcome: refused.outcome,
        reason: Some(refused.reason),
        cost: 0,
        amounts: None,
        count: refused.count,
    };
    record::insert(work.connection, &record)?;
    let free = RecordedDebit { id, time: work.now, cost: 0, amounts: None };
    work.memory.index.push(subject, free);
    Ok(())
}
