//! Listings of a large journal say what a plain filter over all of it says.

use std::sync::OnceLock;

use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;

use crate::journal::{Direction, RecordQuery};
use crate::keys::KeyRow;
use crate::reservation::RefusedRecord;
use crate::sqlite::journal::{activity, listing, retention};
use crate::sqlite::tests::make::{facts, plan, settlement};
use crate::sqlite::tests::test_store::{Dice, TestStore, wait};

const ROWS: usize = 72_000;
const APIS: [&str; 2] = ["notes", "drafts"];
const METHODS: [&str; 3] = ["POST", "PUT", "DELETE"];
const ADDRESSES: [&str; 3] = ["2001:db8::9", "192.0.2.8", "192.0.2.9"];

struct Large {
    fixture: TestStore,
    keys: Vec<KeyHash>,
    rows: Vec<KeyRow>,
}

/// Refusals and writes of three keys and of nobody, one second apart, merged up to somewhere.
fn large() -> Large {
    let mut fixture =
        TestStore::new(&["free", "other"].map(|name| plan(name, &[], LockRule::Never)));
    // An application bears the name of the plan of its first key.
    let keys: Vec<_> = ["free", "free", "other"].map(|plan| fixture.issue(plan)).into();
    let mut dice = Dice(0x9E37_79B9_7F4A_7C15);
    for _ in 0..ROWS / 1_000 {
        let refusal = |dice: &mut Dice| {
            // The last key is rare.
            let key = [None, Some(0), Some(0), Some(1), Some(1)][dice.roll(5)];
            let method = METHODS[dice.roll(3)];
            let mut facts = facts(APIS[dice.roll(2)], method, &format!("/{}", dice.roll(50)));
            // The first address is in every block, the last in few.
            let place = match dice.roll(20_000) {
                0 => 2,
                1..200 => 1,
                _ => 0,
            };
            facts.address = ADDRESSES[place].parse().unwrap();
            let reason = [Reason::RateLimited, Reason::KeyLocked][dice.roll(2)];
            let key = key.map(|place| fixture.entry(keys[place]));
            RefusedRecord {
                key,
                facts,
                reason,
                outcome: Outcome::Refused,
                count: 1 + u32::try_from(dice.roll(3)).unwrap(),
            }
        };
        fixture.store().record_refused((0..994).map(|_| refusal(&mut dice)).collect());
        for outcome in
            [Outcome::Applied, Outcome::RefusedByUpstream, Outcome::NotSent, Outcome::Unknown]
        {
            let operation = (APIS[dice.roll(2)], METHODS[dice.roll(3)], "/x");
            let reserved = fixture.ask(keys[dice.roll(3)], operation, 1).unwrap().unwrap();
            fixture.store().settle(reserved, settlement(outcome));
        }
        // Two of each thousand stay pending.
        fixture.ask(keys[dice.roll(2)], ("notes", "POST", "/x"), 1).unwrap().unwrap();
        fixture.ask(keys[0], ("notes", "POST", "/x"), 1).unwrap().unwrap();
    }
    let spread = format!("UPDATE journal SET time = time - ({ROWS} - id) * 1000");
    fixture.change(move |work| Ok(work.connection().execute(&spread, [])?)).unwrap();
    wait(fixture.store().flush()).unwrap();
    fixture.reload_policy();
    let rows = keys.iter().map(|key| fixture.row(*key)).collect();
    Large { fixture, keys, rows }
}

fn fits(large: &Large, query: &RecordQuery, record: &WriteRecord) -> bool {
    let row = large.rows.iter().find(|row| Some(&row.id) == record.key.as_ref());
    let is = |wanted: &Option<String>, text: &String| {
        wanted.as_ref().is_none_or(|wanted| wanted == text)
    };
    is(&query.api, &record.api)
        && is(&query.operation, &record.operation)
        && is(&query.method, &record.method)
        && is(&query.address, &record.address)
        && query.outcome.is_none_or(|outcome| outcome == record.outcome)
        && query.since.is_none_or(|since| record.time >= since)
        && query.until.is_none_or(|until| record.time < until)
        && query.after.is_none_or(|after| record.id > after)
        && query.before.is_none_or(|before| record.id < before)
        && query.subject.is_none_or(|subject| subject == row.map_or(0, |row| row.row))
        && query
            .application
            .is_none_or(|wanted| row.is_some_and(|row| row.application_row == wanted))
}

fn by_hand(large: &Large, all: &[WriteRecord], query: &RecordQuery) -> Vec<RecordId> {
    let fitting = |record: &&WriteRecord| fits(large, query, record);
    let limit = query.limit as usize;
    match query.direction {
        Direction::EarliestFirst => {
            all.iter().filter(fitting).take(limit).map(|record| record.id).collect()
        }
        Direction::LatestFirst => {
            all.iter().rev().filter(fitting).take(limit).map(|record| record.id).collect()
        }
    }
}

fn some<T>(dice: &mut Dice, one_in: usize, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
    (dice.roll(one_in) == 0).then(|| value(dice))
}

fn random_query(large: &Large, all: &[WriteRecord], dice: &mut Dice) -> RecordQuery {
    let subject = |dice: &mut Dice| match dice.roll(5) {
        0 => 0,
        1 => 99,
        _ => large.rows[dice.roll(3)].row,
    };
    let application = |dice: &mut Dice| match dice.roll(5) {
        0 => 99,
        _ => large.rows[dice.roll(3)].application_row,
    };
    let time = |dice: &mut Dice| match dice.roll(8) {
        0 => Timestamp(0),
        1 => Timestamp(i64::MAX),
        at => Timestamp(all[dice.roll(all.len())].time.0 + i64::try_from(at).unwrap() - 4),
    };
    let place = |dice: &mut Dice| all[dice.roll(all.len())].id;
    RecordQuery {
        id: None,
        subject: some(dice, 3, subject),
        application: some(dice, 3, application),
        address: some(dice, 3, |dice| {
            ["192.0.2.1", ADDRESSES[dice.roll(3)]][dice.roll(5).min(1)].to_owned()
        }),
        api: some(dice, 3, |dice| APIS[dice.roll(2)].to_owned()),
        operation: some(dice, 5, |dice| format!("{} *", METHODS[dice.roll(3)])),
        method: some(dice, 3, |dice| METHODS[dice.roll(3)].to_owned()),
        outcome: some(dice, 2, |dice| Outcome::ALL[dice.roll(6)]),
        since: some(dice, 3, time),
        until: some(dice, 3, time),
        after: some(dice, 4, place),
        before: some(dice, 4, place),
        direction: [Direction::LatestFirst, Direction::EarliestFirst][dice.roll(2)],
        limit: u32::try_from([0, 1, 7, 50, 1_000][dice.roll(5)]).unwrap(),
    }
}

fn compare(large: &Large, queries: usize, seed: u64) {
    let all = large.fixture.journal();
    let mut dice = Dice(seed);
    for _ in 0..queries {
        let query = random_query(large, &all, &mut dice);
        let listed: Vec<_> = large.fixture.list(&query).iter().map(|record| record.id).collect();
        assert_eq!(listed, by_hand(large, &all, &query), "{query:?}");
        let limit = u32::try_from([7, 50, 1_000][dice.roll(3)]).unwrap();
        let everything = by_hand(large, &all, &RecordQuery { limit: 1_200, ..query.clone() });
        assert_eq!(walk(large, &RecordQuery { limit, ..query }, 1_200), everything);
    }
}

/// Walks from page to page, to the end or until there is enough.
fn walk(large: &Large, query: &RecordQuery, enough: usize) -> Vec<RecordId> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = large.fixture.store().read(|read| listing::page(read, &query)).unwrap();
        assert!(page.records.len() <= query.limit as usize, "{query:?}");
        let is_full = page.records.len() == query.limit as usize;
        assert!(!page.searched_all || is_full || page.next.is_none(), "{query:?}");
        assert_eq!(page.searched_to.is_some(), !page.searched_all, "{query:?}");
        found.extend(page.records.iter().map(|record| record.id));
        found.truncate(enough);
        let Some(next) = page.next.filter(|_| found.len() < enough) else {
            return found;
        };
        match query.direction {
            Direction::LatestFirst => query.before = Some(next),
            Direction::EarliestFirst => query.after = Some(next),
        }
    }
}

/// Walks through all pages.
fn pages(large: &Large, query: &RecordQuery) -> Vec<RecordId> {
    let (mut query, mut found) = (query.clone(), Vec::new());
    loop {
        let page = large.fixture.list(&query);
        let Some(last) = page.last() else {
            return found;
        };
        found.extend(page.iter().map(|record| record.id));
        match query.direction {
            Direction::LatestFirst => query.before = Some(last.id),
            Direction::EarliestFirst => query.after = Some(last.id),
        }
    }
}

/// Made once: it takes most of the time.
fn shared() -> &'static Large {
    static LARGE: OnceLock<Large> = OnceLock::new();
    LARGE.get_or_init(large)
}

#[test]
fn filters_places_times_and_orders_agree_with_a_plain_filter() {
    let large = shared();
    assert_eq!(large.fixture.store().read(retention::count).unwrap(), u64::try_from(ROWS).unwrap());
    compare(large, 80, 7);
}

#[test]
fn pages_in_either_order_hold_every_record_once() {
    let large = shared();
    let all = large.fixture.journal();
    for direction in [Direction::LatestFirst, Direction::EarliestFirst] {
        let query = RecordQuery { direction, limit: 5_000, ..RecordQuery::default() };
        let of_key =
            RecordQuery { subject: Some(large.rows[1].row), limit: 3_000, ..query.clone() };
        let rare = RecordQuery { outcome: Some(Outcome::NotSent), limit: 10, ..query.clone() };
        for query in [query, of_key, rare] {
            let everything = RecordQuery { limit: u32::MAX, ..query.clone() };
            assert_eq!(pages(large, &query), by_hand(large, &all, &everything));
        }
    }
}

#[test]
fn counts_and_last_times_agree_with_a_plain_filter() {
    let large = shared();
    let all = large.fixture.journal();
    let counted = large.fixture.store().read(retention::count).unwrap();
    assert_eq!(counted, u64::try_from(ROWS).unwrap());
    for row in &large.rows {
        let last =
            large.fixture.store().read(|read| activity::last_of_subject(read, row.row)).unwrap();
        let is_sent = |outcome| !matches!(outcome, Outcome::Refused | Outcome::NotSent);
        let by_hand = all
            .iter()
            .rev()
            .find(|record| record.key.as_ref() == Some(&row.id) && is_sent(record.outcome));
        assert_eq!(last, by_hand.map(|record| record.time));
    }
}

#[test]
fn retention_deletes_from_the_start_and_listings_and_counts_follow() {
    let mut large = large();
    large.fixture.reopen();
    compare(&large, 10, 11);
    let before = large.fixture.journal();
    let end = before[30_000].time;
    let mut deleted = Vec::new();
    while deleted.last() != Some(&0) {
        deleted.push(
            large.fixture.change(move |work| work.delete_records_before(end, 12_000)).unwrap(),
        );
    }
    assert_eq!(deleted, [12_000, 12_000, 6_000, 0]);
    assert!(large.fixture.journal() == before[30_000..]);
    compare(&large, 20, 13);
    assert_eq!(large.fixture.store().read(retention::count).unwrap(), 42_000);
    large.fixture.reopen();
    assert!(large.fixture.journal() == before[30_000..]);
    // Even where everything is old, the numbers of records go on where they were.
    large
        .fixture
        .change(move |work| work.delete_records_before(Timestamp(i64::MAX), u32::MAX))
        .unwrap();
    large.fixture.reopen();
    assert_eq!(large.fixture.reserve(large.keys[0]).unwrap().id, RecordId(72_001));
}
