//! Blocks and hours: however far they are filled, listings and counts say what a plain look says.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use keystile_core::journal::counts::HourCount;
use keystile_core::journal::{Outcome, RecordId, WriteRecord};
use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::lock::LockRule;
use keystile_core::refusal::Reason;
use keystile_core::time::Timestamp;

use crate::journal::{Direction, RecordPage, RecordQuery};
use crate::reservation::RefusedRecord;
use crate::sqlite::journal::{activity, hour, listing};
use crate::sqlite::tests::make::{facts, plan, refusals, settlement};
use crate::sqlite::tests::test_store::{Dice, TestStore, wait};

const SEGMENT: i64 = 8_192;
const HOUR: i64 = 3_600_000;

fn fixture() -> (TestStore, KeyHash) {
    let fixture = TestStore::new(&[plan("free", &[], LockRule::Never)]);
    let key = fixture.issue("free");
    (fixture, key)
}

/// Records from a few common addresses, and from a rare one about once in 4,000.
fn fill(fixture: &TestStore, many: usize, dice: &mut Dice) {
    let mut left = many;
    while left > 0 {
        let now = left.min(1_000);
        left -= now;
        let record = |_| {
            let mut facts = facts(["notes", "drafts"][dice.roll(2)], "PUT", "/x");
            let last = if dice.roll(4_000) == 0 { 200 } else { dice.roll(40) };
            facts.address = format!("192.0.2.{last}").parse().unwrap();
            let outcome = [Outcome::Refused, Outcome::Refused, Outcome::Applied][dice.roll(3)];
            let count = 1 + u32::try_from(dice.roll(3)).unwrap();
            RefusedRecord { key: None, facts, reason: Reason::RateLimited, outcome, count }
        };
        fixture.store().record_refused((0..now).map(record).collect());
    }
    wait(fixture.store().flush()).unwrap();
}

fn meta(fixture: &TestStore, name: &str) -> i64 {
    let sql = "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = ?1";
    fixture.store().read(|read| Ok(read.query_row(sql, [name], |row| row.get(0))?)).unwrap()
}

fn facets(fixture: &TestStore) -> (i64, i64) {
    let sql = "SELECT coalesce(min(segment), -1), coalesce(max(segment), -1) FROM journal_facet";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    fixture.store().read(|connection| Ok(connection.query_row(sql, [], read)?)).unwrap()
}

fn await_filled(fixture: &TestStore, to: i64) {
    let began = Instant::now();
    while meta(fixture, "blocks_to") < to {
        assert!(began.elapsed() < Duration::from_secs(50), "blocks are not filled");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn page(fixture: &TestStore, query: &RecordQuery) -> RecordPage {
    fixture.store().read(|read| listing::page(read, query)).unwrap()
}

/// All pages of a query, and how many there were.
fn walk(fixture: &TestStore, query: &RecordQuery) -> (Vec<RecordId>, usize) {
    let (mut query, mut found, mut pages) = (query.clone(), Vec::new(), 0);
    loop {
        let page = page(fixture, &query);
        pages += 1;
        found.extend(page.records.iter().map(|record| record.id));
        match (page.next, query.direction) {
            (None, _) => return (found, pages),
            (next, Direction::LatestFirst) => query.before = next,
            (next, Direction::EarliestFirst) => query.after = next,
        }
    }
}

fn compare(fixture: &TestStore, dice: &mut Dice) {
    let all = fixture.journal();
    let addresses = ["192.0.2.200", "192.0.2.3", "192.0.2.222"];
    for number in 0..24 {
        let query = RecordQuery {
            address: [None, Some(addresses[number % 3].to_owned())][dice.roll(2)].clone(),
            api: [None, Some("drafts".to_owned()), Some("none".to_owned())][dice.roll(3)].clone(),
            outcome: [None, Some(Outcome::ALL[dice.roll(6)])][dice.roll(2)],
            direction: [Direction::LatestFirst, Direction::EarliestFirst][number % 2],
            limit: [700, 5_000, 20_000][dice.roll(3)],
            ..RecordQuery::default()
        };
        let fits = |record: &&WriteRecord| {
            query.address.as_ref().is_none_or(|address| *address == record.address)
                && query.api.as_ref().is_none_or(|api| *api == record.api)
                && query.outcome.is_none_or(|outcome| outcome == record.outcome)
        };
        let mut expected: Vec<_> = all.iter().filter(fits).map(|record| record.id).collect();
        if query.direction == Direction::LatestFirst {
            expected.reverse();
        }
        assert_eq!(walk(fixture, &query).0, expected, "{query:?}");
        let listed = fixture.list(&RecordQuery { limit: u32::MAX, ..query });
        assert!(listed.iter().map(|record| record.id).eq(expected));
    }
}

/// A file as it was before there were blocks.
fn empty_blocks(fixture: &mut TestStore) {
    fixture.stop();
    let database = rusqlite::Connection::open(fixture.path().join("keystile.db")).unwrap();
    database
        .execute_batch(
            "DELETE FROM journal_facet; DELETE FROM journal_hour;
             DELETE FROM meta WHERE name IN ('blocks_to', 'hours_to')",
        )
        .unwrap();
    drop(database);
    fixture.start();
}

#[test]
fn pages_hold_every_record_once_whatever_is_filled_and_after_retention_and_restarts() {
    let ((mut fixture, key), mut dice) = (fixture(), Dice(5));
    fill(&fixture, 21_000, &mut dice);
    fixture.reserve_many(key, 3);
    compare(&fixture, &mut dice);
    empty_blocks(&mut fixture);
    compare(&fixture, &mut dice);
    await_filled(&fixture, 2 * SEGMENT - 1);
    compare(&fixture, &mut dice);
    fixture.reopen();
    fill(&fixture, 6_000, &mut dice);
    await_filled(&fixture, 3 * SEGMENT - 1);
    assert_eq!(facets(&fixture), (0, 2));
    compare(&fixture, &mut dice);
    // Everything so far is before the end of time; some of it goes.
    let end = Timestamp(i64::MAX);
    fixture.change(move |work| work.delete_records_before(end, 9_000)).unwrap();
    assert_eq!(facets(&fixture), (1, 2));
    compare(&fixture, &mut dice);
    fixture.reopen();
    compare(&fixture, &mut dice);
    // A file without blocks from which retention has taken the start.
    empty_blocks(&mut fixture);
    await_filled(&fixture, 3 * SEGMENT - 1);
    assert_eq!(facets(&fixture), (1, 2));
    compare(&fixture, &mut dice);
}

#[test]
fn a_crash_while_a_segment_is_filled_repeats_it() {
    let ((fixture, _), mut dice) = (fixture(), Dice(6));
    fill(&fixture, 12_000, &mut dice);
    while meta(&fixture, "hours_to") == 0 {
        wait(fixture.store().flush()).unwrap();
    }
    // A copy of the files is what a crash leaves.
    let crashed = tempfile::tempdir().unwrap();
    for file in ["keystile.db", "keystile.db-wal", "pepper"] {
        std::fs::copy(fixture.path().join(file), crashed.path().join(file)).unwrap();
    }
    let copy = TestStore::at(crashed, &fixture);
    compare(&copy, &mut dice);
    assert_eq!(hours(&copy), by_hand(&copy.journal()));
    await_filled(&copy, SEGMENT - 1);
    compare(&copy, &mut dice);
    assert_eq!(hours(&copy), by_hand(&copy.journal()));
}

#[test]
fn a_rare_value_is_found_in_one_page_once_blocks_are_filled() {
    let ((fixture, _), mut dice) = (fixture(), Dice(7));
    fill(&fixture, 60_000, &mut dice);
    await_filled(&fixture, 7 * SEGMENT - 1);
    for address in ["192.0.2.200", "192.0.2.222"] {
        let query =
            RecordQuery { address: Some(address.to_owned()), limit: 50, ..RecordQuery::default() };
        let page = page(&fixture, &query);
        assert!(page.searched_all && page.next.is_none());
        assert_eq!(page.records.is_empty(), address == "192.0.2.222");
    }
    // Where nothing leads to what is wanted, a page is given up and says how far it came.
    let query = RecordQuery {
        api: Some("notes".to_owned()),
        address: Some("192.0.2.7".to_owned()),
        outcome: Some(Outcome::Refused),
        limit: 10_000,
        ..RecordQuery::default()
    };
    let first = page(&fixture, &query);
    assert!(!first.searched_all && first.next.is_some() && first.searched_to.is_some());
    assert!(walk(&fixture, &query).1 > 2);
}

#[test]
fn a_write_that_ends_after_its_block_was_filled_is_found_by_its_outcome() {
    let ((fixture, key), mut dice) = (fixture(), Dice(8));
    let mut open = fixture.reserve_many(key, 2);
    fill(&fixture, 20_000, &mut dice);
    // What is under way holds the filling up by a segment, and not for ever.
    await_filled(&fixture, SEGMENT - 1);
    let of = |outcome| {
        let query = RecordQuery {
            outcome: Some(outcome),
            method: Some("POST".to_owned()),
            limit: 10,
            ..RecordQuery::default()
        };
        page(&fixture, &query).records.iter().map(|record| record.id.0).collect::<Vec<_>>()
    };
    assert_eq!(of(Outcome::Pending), [2, 1]);
    fixture.store().settle(open.remove(0), settlement(Outcome::Applied));
    fixture.store().settle(open.remove(0), settlement(Outcome::Unknown));
    wait(fixture.store().flush()).unwrap();
    assert_eq!((of(Outcome::Applied), of(Outcome::Unknown)), (vec![1], vec![2]));
    assert!(of(Outcome::Pending).is_empty());
}

#[test]
fn few_records_make_no_work_beside_their_own_commits() {
    let (fixture, key) = fixture();
    for reserved in fixture.reserve_many(key, 200) {
        fixture.store().settle(reserved, settlement(Outcome::Applied));
    }
    wait(fixture.store().flush()).unwrap();
    std::thread::sleep(Duration::from_millis(1_300));
    assert_eq!((meta(&fixture, "blocks_to"), meta(&fixture, "hours_to")), (0, 0));
    assert_eq!(facets(&fixture), (-1, -1));
    assert_eq!(hours(&fixture), by_hand(&fixture.journal()));
}

fn hours(fixture: &TestStore) -> Vec<(i64, u64, u64)> {
    hours_between(fixture, Timestamp(0), Timestamp(i64::MAX))
}

fn hours_between(fixture: &TestStore, since: Timestamp, until: Timestamp) -> Vec<(i64, u64, u64)> {
    let counted = fixture.store().read(|read| hour::writes_by_hour(read, since, until)).unwrap();
    let plain = |HourCount { start, writes, refused }| (start.0, writes, refused);
    counted.into_iter().map(plain).collect()
}

fn by_hand(records: &[WriteRecord]) -> Vec<(i64, u64, u64)> {
    let mut hours = BTreeMap::<i64, (u64, u64)>::new();
    for record in records {
        let hour = hours.entry(record.time.0 / HOUR * HOUR).or_default();
        match record.outcome {
            Outcome::Refused => hour.1 += u64::from(record.count),
            _ => hour.0 += 1,
        }
    }
    hours.into_iter().map(|(hour, (writes, refused))| (hour, writes, refused)).collect()
}

#[test]
fn hours_are_exact_while_they_are_counted_and_after_restarts_and_retention() {
    let ((mut fixture, key), mut dice) = (fixture(), Dice(9));
    for many in [3_000, 1, 9_000] {
        fill(&fixture, many, &mut dice);
        fixture.reserve_many(key, 2);
        assert_eq!(hours(&fixture), by_hand(&fixture.journal()));
        fixture.reopen_later(HOUR + 1_000);
    }
    fill(&fixture, 4_000, &mut dice);
    let all = by_hand(&fixture.journal());
    assert!(all.len() >= 4);
    assert_eq!(hours(&fixture), all);
    // Part of an hour is the whole hour.
    let (since, until) = (Timestamp(all[1].0 + 5), Timestamp(all[2].0 + 1));
    assert_eq!(hours_between(&fixture, since, until), all[1..=2]);
    assert_eq!(hours_between(&fixture, since, Timestamp(all[2].0)), all[1..=1]);
    // Hours outlive their records, also those that no step had counted.
    fixture.change(|work| work.delete_records_before(Timestamp(i64::MAX), 2_500)).unwrap();
    assert_eq!(hours(&fixture), all);
    await_filled(&fixture, SEGMENT - 1);
    assert_eq!(hours(&fixture), all);
    fixture.reopen();
    fixture.change(|work| work.delete_records_before(Timestamp(i64::MAX), 50_000)).unwrap();
    assert_eq!(hours(&fixture), all);
}

#[test]
fn what_a_key_did_lately_is_counted_by_slot_and_address() {
    let (mut fixture, key) = fixture();
    let row = fixture.row(key).row;
    let entry = fixture.entry(key);
    let from = |address: &str, count| {
        let mut refused = refusals(Some(&entry), 1).remove(0);
        refused.facts.address = address.parse().unwrap();
        fixture.store().record_refused(vec![RefusedRecord { count, ..refused }]);
    };
    from("192.0.2.9", 4);
    fixture.reserve_many(key, 3);
    from("2001:db8::1", 1);
    wait(fixture.store().flush()).unwrap();
    drop(entry);
    let now = fixture.store().now();
    let slots = |fixture: &TestStore, since| {
        fixture
            .store()
            .read(|read| activity::activity_of_subject(read, row, Timestamp(since), 3, HOUR))
            .unwrap()
    };
    let addresses = |fixture: &TestStore| {
        let found =
            fixture.store().read(|read| activity::addresses_of_subject(read, row, 2)).unwrap();
        found.into_iter().map(|used| (used.address, used.requests)).collect::<Vec<_>>()
    };
    let expected = [("2001:db8::1".to_owned(), 1), ("192.0.2.7".to_owned(), 3)];
    for _ in 0..2 {
        let activity = slots(&fixture, now.0 - HOUR - HOUR / 2);
        assert_eq!((activity.slots, activity.is_truncated), (vec![0, 5, 0], false));
        assert_eq!(slots(&fixture, now.0 + HOUR).slots, [0, 0, 0]);
        assert_eq!(addresses(&fixture), expected);
        // Then the same from the list by key.
        fixture.reopen();
    }
    let entry = fixture.entry(key);
    for _ in 0..21 {
        fixture.store().record_refused(refusals(Some(&entry), 1_000));
    }
    wait(fixture.store().flush()).unwrap();
    let activity = slots(&fixture, now.0 - HOUR);
    assert_eq!((activity.slots.iter().sum::<u64>(), activity.is_truncated), (20_000, true));
}
