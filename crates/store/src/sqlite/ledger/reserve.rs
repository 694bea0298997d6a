//! Reserving room for a write: lock check, debit and journal intent in the writer's transaction.

use std::sync::Arc;

use keystile_core::budget::{BudgetAmount, Debits, Exhausted, Subject};
use keystile_core::decision::locked;
use keystile_core::journal::{Outcome, RecordId};
use keystile_core::keys::lock::LockTarget;
use keystile_core::notifications::notice::NoticeBudget;
use keystile_core::policy::Plan;
use keystile_core::refusal::{LockNotice, Reason, Refusal};
use keystile_core::reservation;

use crate::departure::WriteDeparture;
use crate::error::Result;
use crate::key_cache::KeyEntry;
use crate::reservation::{BudgetStanding, DebitElsewhere};
pub(crate) use crate::reservation::{
    RefusedRecord, Requester, ReserveAnswer, ReserveRefused, ReserveRequest, Reserved, Sender,
};
use crate::sqlite::journal::record::{self, NewRecord};
use crate::sqlite::journal::subject;
use crate::sqlite::journal::subject_index::RecordedDebit;
use crate::sqlite::ledger::debit::{self, PastBudget};
use crate::sqlite::ledger::elsewhere::Taken;
use crate::sqlite::ledger::{Terms, amounts};
use crate::sqlite::notifications::budget_level::record_levels;
use crate::sqlite::writer::write_tx::WriteTx;

/// Reserves the cost of a write in each budget that counts it.
pub(crate) fn reserve(work: &mut WriteTx<'_>, request: &ReserveRequest) -> Result<ReserveAnswer> {
    let amounts = Debits::of_each(request.permit.budgets(), request.permit.cost());
    reserve_amounts(work, request, &amounts)
}

/// Reserves what is to be taken from budgets, which may be another amount in each.
pub(crate) fn reserve_amounts(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    amounts: &[BudgetAmount],
) -> Result<ReserveAnswer> {
    let mut objection = request.permit.objection();
    let cost = request.permit.cost();
    let now = work.now;
    if let Err(refusal) = recheck(work, &request.requester) {
        if !request.is_observed() {
            return Ok(Err(Box::new(refused(refusal, request.permit.plan(), Vec::new()))));
        }
        objection = objection.or(Some(refusal.reason));
    }
    let departure = Arc::new(WriteDeparture::new(work.memory.clock));
    let (mut standings, mut beside_cost, mut debits) = (Vec::new(), None, Debits::default());
    if let (Some(plan), Some(writer)) = (request.permit.plan(), request.requester.writer()) {
        debits = plan.debits(writer, amounts);
        let terms = Terms { policy: &request.policy, plan };
        let past = if request.is_observed() { PastBudget::Counted } else { PastBudget::Refused };
        let debited = debit::debit_all(work, terms, &debits, &departure, past)?;
        if let Some((subject, exhausted)) = debited.exhausted {
            if !request.is_observed() {
                let past = (subject, &exhausted);
                return over_budget(work, request, plan, past, debited.standings).map(Err);
            }
            let lock_rule = plan.spec().lock;
            objection = objection.or(Some(reservation::objection(lock_rule, subject)));
        }
        standings = debited.standings;
        beside_cost = amounts::beside_cost(amounts, plan, request.permit.budgets(), cost);
        if let Requester::Key(key) = &request.requester {
            let budgets = (&*request.policy, &**plan);
            record_levels(work, key, budgets, &standings, &debits)?;
        }
    }
    let elsewhere = debit_elsewhere(work, request, beside_cost.as_deref(), &departure)?;
    let id = insert(work, request, Outcome::Pending, objection, (cost, beside_cost))?;
    if request.sender == Sender::OtherGateway {
        record::set_pending_elsewhere(work.connection, id)?;
    }
    work.memory.open.insert(id, departure.clone());
    Ok(Ok(Box::new(Reserved {
        id: RecordId(id),
        time: now,
        plan: request.permit.plan().cloned(),
        standings,
        count: request.permit.count(),
        policy: request.policy.clone(),
        subject: number_of(&request.requester),
        debits,
        elsewhere,
        cost,
        is_observed: request.is_observed(),
        departure,
    })))
}

/// Counts a write that is about to get its record in budgets of other plans that its application's keys share.
fn debit_elsewhere(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    beside_cost: Option<&str>,
    departure: &Arc<WriteDeparture>,
) -> Result<Vec<DebitElsewhere>> {
    let Requester::Key(key) = &request.requester else {
        return Ok(Vec::new());
    };
    let taken = Taken {
        application: key.application.row,
        request,
        beside_cost,
        record: work.memory.last_id + 1,
        reserved: work.now,
        departure,
    };
    work.memory.ledger.debit_elsewhere(request.permit.plan().map(|plan| &**plan), &taken)
}

/// The lock check that counts: the decision's came from memory, some time ago.
fn recheck(work: &WriteTx<'_>, requester: &Requester) -> std::result::Result<(), Refusal> {
    match requester {
        Requester::Key(key) => {
            reservation::recheck(work.state_of(key), key.application.state(), work.now)
        }
        Requester::Address(_) | Requester::Nobody => Ok(()),
    }
}

fn refused(
    refusal: Refusal,
    plan: Option<&Arc<Plan>>,
    standings: Vec<BudgetStanding>,
) -> ReserveRefused {
    ReserveRefused { refusal, plan: plan.cloned(), standings, is_recorded: false }
}

/// Refuses the attempt past the budget and, where the plan says so, locks the key or its application.
fn over_budget(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    plan: &Arc<Plan>,
    (subject, exhausted): (Subject, &Exhausted),
    standings: Vec<BudgetStanding>,
) -> Result<Box<ReserveRefused>> {
    let (Some(lock), Requester::Key(key)) =
        (reservation::lock_past_budget(plan.spec().lock, subject, exhausted), &request.requester)
    else {
        return Ok(Box::new(refused(reservation::refusal(exhausted), Some(plan), standings)));
    };
    let budget = &plan.budgets()[exhausted.place];
    let earlier_locks = earlier_locks(work, key, lock.on)?;
    let lock =
        reservation::budget_lock((plan, budget), lock, earlier_locks, &request.facts, work.now);
    let used = standings.iter().find(|standing| standing.place == exhausted.place);
    let over = NoticeBudget {
        name: budget.name.clone(),
        quota: budget.quota.to_string(),
        amount: budget.quota.amount,
        used: used.map_or(0, |standing| standing.used),
        level: None,
    };
    let lock = match lock.on {
        LockTarget::Key => work.lock_key_over_budget(key, lock, Some(over))?.0,
        LockTarget::Application => {
            work.lock_application((&key.application, key), lock, Some(over))?
        }
    };
    insert(work, request, Outcome::Refused, Some(Reason::KeyLocked), (0, None))?;
    let refusal = locked(LockNotice::from(&lock), work.now);
    Ok(Box::new(ReserveRefused { is_recorded: true, ..refused(refusal, Some(plan), standings) }))
}

/// The subject's number in the journal.
fn number_of(requester: &Requester) -> i64 {
    requester.writer().map_or(subject::NOBODY, subject::number)
}

fn earlier_locks(work: &WriteTx<'_>, key: &KeyEntry, on: LockTarget) -> Result<u32> {
    let (sql, row) = match on {
        LockTarget::Key => ("SELECT locks FROM key WHERE id = ?1", key.row),
        LockTarget::Application => {
            ("SELECT locks FROM application WHERE id = ?1", key.application.row)
        }
    };
    let mut statement = work.connection.prepare_cached(sql)?;
    Ok(statement.query_row([row], |row| row.get(0))?)
}

fn insert(
    work: &mut WriteTx<'_>,
    request: &ReserveRequest,
    outcome: Outcome,
    reason: Option<Reason>,
    (cost, amounts): (u32, Option<String>),
) -> Result<i64> {
    let id = work.next_id();
    let subject = number_of(&request.requester);
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
