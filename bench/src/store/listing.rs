//! Pages of the grown journal by filters that fit much, little and nothing.

use std::path::Path;
use std::time::{Duration, Instant};

use keystile_core::journal::{Outcome as Ended, RecordId};
use keystile_store::Store;
use keystile_store::journal::{RecordOwner, RecordQuery};
use rusqlite::Connection;
use tokio::runtime::Runtime;

use crate::{Outcome, setting};

/// What a page of fifty may take.
const PAGE_MS_MAX: f64 = 10.0;
/// What only ten of the grown records have.
pub const RARE_ADDRESS: &str = "203.0.113.7";

/// Waits until the blocks are filled, and says how long that took.
pub fn fill(data: &Path, records: u64) -> Outcome<Duration> {
    let began = Instant::now();
    let connection = Connection::open(data.join("keystile.db"))?;
    let filled =
        "SELECT coalesce(max(CAST(value AS INTEGER)), 0) FROM meta WHERE name = 'blocks_to'";
    loop {
        let to: i64 = connection.query_row(filled, [], |row| row.get(0))?;
        if to + 10_000 >= records.cast_signed() {
            return Ok(began.elapsed());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Measures and prints.
pub fn run(store: &Store, runtime: &Runtime, data: &Path) -> Outcome<()> {
    let connection = Connection::open(data.join("keystile.db"))?;
    let last: i64 = connection.query_row("SELECT max(id) FROM journal", [], |row| row.get(0))?;
    let sql = "SELECT time FROM journal WHERE id = ?1";
    let middle: i64 = connection.query_row(sql, [last / 2], |row| row.get(0))?;
    let text = |text: &str| Some(text.to_owned());
    let all = RecordQuery { limit: 50, ..RecordQuery::default() };
    let busy = i64::try_from(setting::APPLICATIONS)? / 2;
    let idle = i64::try_from(setting::APPLICATIONS)?;
    let idle_key = i64::try_from(setting::KEYS)?;
    let day =
        keystile_core::time::Timestamp(middle).plus(keystile_core::time::Span::from_secs(86_400));
    let filters = [
        ("everything", all.clone()),
        ("common operation", RecordQuery { operation: text("PUT *"), ..all.clone() }),
        ("rare operation", RecordQuery { operation: text("DELETE *"), ..all.clone() }),
        ("one of 20,000 addresses", RecordQuery { address: text("10.0.3.9"), ..all.clone() }),
        ("rare address", RecordQuery { address: text(RARE_ADDRESS), ..all.clone() }),
        ("outcome refused", RecordQuery { outcome: Some(Ended::Refused), ..all.clone() }),
        ("outcome unknown", RecordQuery { outcome: Some(Ended::Unknown), ..all.clone() }),
        ("outcome pending", RecordQuery { outcome: Some(Ended::Pending), ..all.clone() }),
        ("application", RecordQuery { application: Some(busy), ..all.clone() }),
        ("rare application", RecordQuery { application: Some(idle), ..all.clone() }),
        ("method that never occurs", RecordQuery { method: text("PURGE"), ..all.clone() }),
        ("key", RecordQuery { subject: Some(7), ..all.clone() }),
        ("rare key", RecordQuery { subject: Some(idle_key), ..all.clone() }),
        (
            "key, operation it never used",
            RecordQuery { subject: Some(7), operation: text("DELETE *"), ..all.clone() },
        ),
        (
            "application and outcome",
            RecordQuery { application: Some(busy), outcome: Some(Ended::Refused), ..all.clone() },
        ),
        (
            "until the middle, by address",
            RecordQuery { address: text("10.0.3.9"), until: Some(day), ..all.clone() },
        ),
        (
            "two that never meet",
            RecordQuery {
                operation: text("PATCH *"),
                outcome: Some(Ended::RefusedByUpstream),
                ..all.clone()
            },
        ),
    ];
    println!("{:<30}  {:>20}  {:>20}", "page of 50", "first page", "from the middle");
    for (name, query) in filters {
        let first = page(store, runtime, &query)?;
        let middle =
            page(store, runtime, &RecordQuery { before: Some(RecordId(last / 2)), ..query })?;
        println!("{name:<30}  {first:>20}  {middle:>20}");
    }
    Ok(())
}

/// The median of several readings, how many records there were, and `..` where the search was given up.
fn page(store: &Store, runtime: &Runtime, query: &RecordQuery) -> Outcome<String> {
    let mut times = Vec::new();
    let mut page = None;
    for _ in 0..21 {
        let began = Instant::now();
        page = Some(runtime.block_on(store.record_page(RecordOwner::default(), query.clone()))?);
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let page = page.ok_or("a page was read")?;
    let taken = setting::median(times);
    let is_met = if taken <= PAGE_MS_MAX { "" } else { " MISSED" };
    let more = if page.searched_all { "" } else { ".." };
    Ok(format!("{taken:.2} ms ({}{more}){is_met}", page.records.len()))
}
