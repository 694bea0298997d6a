#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::cell::Cell;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;

impl Departure for Rc<Cell<Option<i64>>> {
    fn began(&self) -> Option<Timestamp> {
        self.get().map(Timestamp)
    }
}

type TestAccount = Account<Rc<Cell<Option<i64>>>>;

const ZONE: TimeZone = TimeZone::UTC;

fn quotas(texts: &[&str]) -> Vec<Quota> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn amounts(of: &[(usize, u32)]) -> Amounts {
    of.iter().map(|(place, amount)| BudgetAmount { place: *place, amount: *amount }).collect()
}

fn hold(record: i64, reserved: i64, of: &[(usize, u32)]) -> Hold<Rc<Cell<Option<i64>>>> {
    let (reserved, amounts) = (Timestamp(reserved), amounts(of));
    Hold { record, reserved, amounts, departure: Rc::default() }
}

fn used(account: &mut TestAccount, now: i64) -> Vec<u64> {
    let places = 0..account.budgets.len();
    let standings = account.standings(places, Timestamp(now), &ZONE);
    standings.iter().map(|standing| standing.used).collect()
}

#[test]
fn each_budget_is_held_to_its_own_amount() {
    let mut account = TestAccount::new(quotas(&["10 per day", "3 per day"]).into_iter());
    let now = Timestamp(1_700_000_000_000);
    account.debit(hold(1, now.0, &[(0, 4), (1, 1)]));
    assert_eq!(used(&mut account, now.0), [4, 1]);
    assert!(account.check(&amounts(&[(0, 6), (1, 2)]), now, &ZONE).is_ok());
    let exhausted = account.check(&amounts(&[(0, 6), (1, 3)]), now, &ZONE).unwrap_err();
    assert_eq!((exhausted.place, exhausted.by), (1, ExhaustedBy::Caller));
    // The first budget without room is named, and what never fits has no time.
    let exhausted = account.check(&amounts(&[(0, 11), (1, 3)]), now, &ZONE).unwrap_err();
    assert_eq!((exhausted.place, exhausted.fits_in_secs), (0, None));
    // A budget that the debit does not name has no say.
    assert!(account.check(&amounts(&[(0, 6)]), now, &ZONE).is_ok());
}

#[test]
fn a_budget_that_is_full_only_because_writes_left_late_is_not_the_callers_fault() {
    let mut account = TestAccount::new(quotas(&["2 per minute"]).into_iter());
    let begin = 1_700_000_000_000;
    let (first, second) = (hold(1, begin, &[(0, 1)]), hold(2, begin, &[(0, 1)]));
    let departures = [first.departure.clone(), second.departure.clone()];
    account.debit(first);
    account.debit(second);
    // Over the window after they were reserved they still wait, and so they count.
    let later = Timestamp(begin + 61_000);
    let by = |account: &mut TestAccount, now| {
        account.check(&amounts(&[(0, 1)]), now, &ZONE).unwrap_err().by
    };
    assert_eq!(by(&mut account, Timestamp(begin + 1_000)), ExhaustedBy::Caller);
    assert_eq!(by(&mut account, later), ExhaustedBy::Delay);
    for departure in departures {
        departure.set(Some(begin + 30_000));
    }
    assert_eq!(by(&mut account, later), ExhaustedBy::Delay);
    assert_eq!(used(&mut account, begin + 93_000), [0]);
}

#[test]
fn what_cannot_be_given_back_exactly_is_said_to_be_unknown() {
    let mut account = TestAccount::new(quotas(&["5 per day"]).into_iter());
    let now = 1_700_000_000_000;
    let held = hold(1, now, &[(0, 2)]);
    account.debit(held);
    assert!(account.give_back(1, &amounts(&[(0, 2)]), None, &ZONE));
    assert_eq!(used(&mut account, now), [0]);
    let sent = hold(2, now, &[(0, 2)]);
    let departure = sent.departure.clone();
    account.debit(sent);
    departure.set(Some(now + 5));
    assert!(!account.give_back(2, &amounts(&[(0, 2)]), None, &ZONE));
    assert!(account.give_back(2, &amounts(&[(0, 2)]), Some(Timestamp(now + 5)), &ZONE));
    assert_eq!(used(&mut account, now + 5), [0]);
}

/// A write of a caller who keeps asking.
#[derive(Clone, Debug)]
struct Attempt {
    wait: i64,
    first: u32,
    second: u32,
    /// After how long it leaves; it is given back instead where that is divisible by 7.
    delay: i64,
}

fn attempts() -> impl Strategy<Value = Vec<Attempt>> {
    let attempt = (0_i64..4_000, 0_u32..4, 0_u32..4, 0_i64..3_000)
        .prop_map(|(wait, first, second, delay)| Attempt { wait, first, second, delay });
    prop::collection::vec(attempt, 1..250)
}

/// A write that was let through and has not left.
struct Waiting {
    record: i64,
    leaves: i64,
    departure: Rc<Cell<Option<i64>>>,
    taken: [u32; 2],
}

proptest! {
    /// Of each budget at most its quota is sent in any interval of its window's length, whatever is asked
    /// for, sent and given back; and what is refused or given back leaves nothing behind.
    #[test]
    fn no_window_of_any_budget_holds_more_than_its_quota(
        limits in (1_u32..20, 1_u32..20),
        seconds in (1_i64..60, 1_i64..60),
        attempts in attempts(),
    ) {
        let windows = [seconds.0 * 1_000, seconds.1 * 1_000];
        let quota = |amount, millis| {
            let window = Window::Rolling(crate::time::Span::from_millis(millis).unwrap());
            Quota { amount, window }
        };
        let quotas = [quota(limits.0, windows[0]), quota(limits.1, windows[1])];
        let mut account = TestAccount::new(quotas.into_iter());
        let mut now = 1_700_000_000_000_i64;
        let mut waiting: Vec<Waiting> = Vec::new();
        let mut sent: Vec<(i64, [u32; 2])> = Vec::new();
        for (record, attempt) in (1..).zip(&attempts) {
            now += attempt.wait;
            waiting.retain(|Waiting { record, leaves, departure, taken }| {
                if *leaves > now {
                    return true;
                }
                if leaves % 7 == 0 {
                    let of = amounts(&[(0, taken[0]), (1, taken[1])]);
                    assert!(account.give_back(*record, &of, None, &ZONE));
                } else {
                    departure.set(Some(*leaves));
                    sent.push((*leaves, *taken));
                }
                false
            });
            let of = [(0, attempt.first), (1, attempt.second)];
            let before = used(&mut account, now);
            match account.check(&amounts(&of), Timestamp(now), &ZONE) {
                Ok(()) => {
                    let hold = hold(record, now, &of);
                    let (leaves, departure) = (now + attempt.delay, hold.departure.clone());
                    let taken = [attempt.first, attempt.second];
                    waiting.push(Waiting { record, leaves, departure, taken });
                    account.debit(hold);
                }
                Err(exhausted) => {
                    let over = before[exhausted.place] + u64::from(of[exhausted.place].1);
                    prop_assert!(over > u64::from(quotas[exhausted.place].amount));
                    prop_assert_eq!(used(&mut account, now), before);
                }
            }
        }
        // Those that still wait may leave at any time from now on.
        sent.extend(waiting.iter().map(|write| (write.leaves.max(now), write.taken)));
        sent.sort_unstable();
        for (place, window) in windows.iter().enumerate() {
            for (at, (first, _)) in sent.iter().enumerate() {
                let within = sent[at..].iter().take_while(|(time, _)| *time < first + window);
                let sum: u64 = within.map(|(_, taken)| u64::from(taken[place])).sum();
                prop_assert!(sum <= u64::from(quotas[place].amount), "budget {}", place);
            }
        }
    }
}
