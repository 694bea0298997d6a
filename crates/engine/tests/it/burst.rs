//! Many writes at once on a budget that has no room for all, by callers who leave when they like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use keystile_core::journal::Outcome;
use keystile_core::policy::api::Mode;
use keystile_core::refusal::Reason;
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target};
use keystile_engine::admission::caller::{Caller, DoorRules, Transport};
use keystile_engine::admission::held::SETTLE_WITHIN;
use keystile_engine::admission::permit::WritePermit;
use keystile_engine::{Admission, Engine};
use keystile_store::completion_queue::CompletionQueue;
use keystile_store::journal::{RecordOwner, RecordQuery};
use keystile_store::reservation::Settlement;
use tokio::task::{JoinSet, yield_now};

use crate::admission::{HOST, policy};
use crate::test_engine::{TestEngine, address, settings, wait};

const BUDGET: u32 = 100;
const CORES: u32 = 4;
const CALLS_PER_CORE: u32 = 100;

fn permit(engine: &Engine) -> WritePermit {
    let head = RequestHead {
        method: "DELETE",
        target: Target { scheme: None, authority: None, path_and_query: "/notes/1" },
        version: HttpVersion::Http11,
        fields: Fields(&[HOST]),
    };
    let rules = DoorRules::default();
    let caller = Caller { peer: address(), transport: Transport::Plain, rules: &rules };
    match engine.admit(&head, &caller) {
        Admission::Write(permit) => permit,
        other => panic!("a DELETE writes: {other:?}"),
    }
}

/// What was sent by callers who stayed, and may have changed something.
#[derive(Default)]
struct Sent(AtomicU32);

impl Sent {
    fn note(&self) {
        let sent = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(sent <= BUDGET, "{sent} writes were sent");
    }
}

/// Leaves after so many turns of the others.
async fn patience(turns: Option<u32>) {
    match turns {
        Some(turns) => {
            for _ in 0..turns {
                yield_now().await;
            }
        }
        None => std::future::pending().await,
    }
}

/// One caller of our own door.
async fn call(engine: Arc<Engine>, completions: Arc<CompletionQueue>, sent: Arc<Sent>, luck: u32) {
    let turns = [None, Some(0), Some(1), Some(3), Some(20), None][(luck % 6) as usize];
    let reserved = tokio::select! {
        biased;
        reserved = engine.reserve(permit(&engine), &completions) => reserved,
        () = patience(turns) => return,
    };
    let reservation = match reserved {
        Ok(reservation) => reservation,
        Err(refused) => {
            assert_eq!(refused.problem.reason, Reason::BudgetExhausted);
            return;
        }
    };
    if luck.is_multiple_of(5) {
        // The caller left before the write was sent.
        return;
    }
    let (_grant, _request, write) = reservation.grant();
    yield_now().await;
    let outcome = match luck % 7 {
        0 => return write.settle(Settlement::NOT_SENT),
        1 => {
            sent.note();
            return drop(write);
        }
        2 => Outcome::RefusedByUpstream,
        _ => Outcome::Applied,
    };
    sent.note();
    write.settle(Settlement { outcome, status: Some(204), ..Settlement::NOT_SENT });
}

/// One call that another gateway asks about.
async fn call_elsewhere(engine: Arc<Engine>, sent: Arc<Sent>, luck: u32) {
    let turns = [None, Some(0), Some(2), Some(9)][(luck % 4) as usize];
    let held = tokio::select! {
        biased;
        held = engine.reserve_by_id(permit(&engine)) => held,
        () = patience(turns) => return,
    };
    let Ok(held) = held else { return };
    let outcome = match luck % 3 {
        0 => Outcome::NotSent,
        1 => Outcome::Applied,
        // Nobody says what became of it.
        _ => return sent.note(),
    };
    if outcome == Outcome::Applied {
        sent.note();
    }
    let settlement = Settlement { outcome, ..Settlement::NOT_SENT };
    engine.settle_by_id(held.id.unwrap(), settlement).unwrap();
}

fn run_core(engine: &Arc<Engine>, sent: &Arc<Sent>, core: u32) {
    wait(async {
        let completions = Arc::<CompletionQueue>::default();
        let (draining, queue) = (engine.clone(), completions.clone());
        let drain = tokio::spawn(async move { draining.store().drain_completions(&queue).await });
        let mut calls = JoinSet::new();
        for number in 0..CALLS_PER_CORE {
            let luck = (core * CALLS_PER_CORE + number).wrapping_mul(2_654_435_761) >> 8;
            let (engine, sent) = (engine.clone(), sent.clone());
            if number.is_multiple_of(4) {
                calls.spawn(call_elsewhere(engine, sent, luck));
            } else {
                calls.spawn(call(engine, completions.clone(), sent, luck));
            }
        }
        while let Some(ended) = calls.join_next().await {
            ended.unwrap();
        }
        // What was asked for and is not waited for is answered by then.
        engine.store().flush().await.unwrap();
        for _ in 0..10 {
            yield_now().await;
        }
        drain.abort();
    });
}

#[test]
fn no_burst_sends_more_than_its_budget_and_what_callers_leave_behind_is_given_back() {
    let fixture = TestEngine::new();
    let engine = fixture.engine();
    engine.replace_policy(policy(Mode::Enforce, &format!("{BUDGET} per day")), settings());
    let sent = Arc::<Sent>::default();
    std::thread::scope(|scope| {
        for core in 0..CORES {
            let sent = &sent;
            scope.spawn(move || run_core(engine, sent, core));
        }
    });
    engine.hand_over_overdue(engine.store().now().plus(SETTLE_WITHIN));
    // Whatever room is left is there to be used, to the last unit.
    while let Ok(held) = wait(engine.reserve_by_id(permit(engine))) {
        sent.note();
        let applied = Settlement { outcome: Outcome::Applied, ..Settlement::NOT_SENT };
        engine.settle_by_id(held.id.unwrap(), applied).unwrap();
    }
    assert_eq!(sent.0.load(Ordering::SeqCst), BUDGET);
    engine.write_refused();
    wait(engine.store().flush()).unwrap();
    let all = RecordQuery { limit: 1_000, ..RecordQuery::default() };
    let records = wait(engine.store().list_records(RecordOwner::default(), all)).unwrap();
    let of = |outcomes: &[Outcome]| {
        let fits = |outcome| outcomes.contains(outcome);
        records.iter().filter(|record| fits(&record.outcome)).count()
    };
    assert_eq!(of(&[Outcome::Pending]), 0);
    let counted =
        [Outcome::Applied, Outcome::Unknown, Outcome::HandedOver, Outcome::RefusedByUpstream];
    assert_eq!(of(&counted), BUDGET as usize);
    assert!(of(&[Outcome::NotSent]) > 0, "nobody left");
    assert!(of(&[Outcome::Refused]) > 0, "there was room for all");
}
