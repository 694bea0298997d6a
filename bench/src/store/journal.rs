//! How starts, lists and debits do when the journal has grown.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use keystile_core::policy::Policy;
use keystile_store::Store;
use keystile_store::journal::{RecordOwner, RecordQuery};
use keystile_store::reservation::Settlement;
use rusqlite::{Connection, params};
use tokio::runtime::Builder;

use crate::{Outcome, listing, setting};

/// Grown records lie this far apart, so that few of them are in a day's window of each key.
const APART_MILLIS: i64 = 700;
const DAY_MILLIS: i64 = 86_400_000;

/// Measures an empty journal and a grown one, and prints both.
pub fn run(records: u64) -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("keystile-bench-").tempdir_in(".")?;
    let data = directory.path().join("data");
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let policy = Arc::new(setting::policy()?);
    let store = setting::open(&data)?;
    runtime.block_on(setting::issue(&store))?;
    store.close();
    drop(store);
    println!(
        "{:>12}  {:>9}  {:>12}  {:>12}  {:>13}  {:>12}",
        "records", "start", "latest 100", "100 of a key", "first debit", "debit"
    );
    measure(&data, &policy, &runtime, 0)?;
    let began = Instant::now();
    grow(&data, records)?;
    eprintln!("grown in {:.0} s", began.elapsed().as_secs_f64());
    measure(&data, &policy, &runtime, records)?;
    let store = setting::open(&data)?;
    let before = size(&data)?;
    let filled = listing::fill(&data, records)?.as_secs_f64();
    println!("\nblocks filled in {filled:.0} s, {:.0} MiB", (size(&data)? - before) / 1_048_576.0);
    listing::run(&store, &runtime, &data)?;
    store.close();
    Ok(())
}

/// Grows the journal of a data directory, and fills what follows from it.
pub fn grow_in(data: &Path, records: u64) -> Outcome<()> {
    grow(data, records)?;
    let store = setting::open(data)?;
    listing::fill(data, records)?;
    store.close();
    Ok(())
}

/// The bytes that the tables take.
fn size(data: &Path) -> Outcome<f64> {
    let connection = Connection::open(data.join("keystile.db"))?;
    let sql = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size";
    Ok(connection.query_row(sql, [], |row| row.get(0))?)
}

fn measure(
    data: &Path,
    policy: &Arc<Policy>,
    runtime: &tokio::runtime::Runtime,
    records: u64,
) -> Outcome<()> {
    let began = Instant::now();
    let store = setting::open(data)?;
    let start_ms = began.elapsed().as_secs_f64() * 1e3;
    let list_ms = |query: &RecordQuery| -> Outcome<f64> {
        let mut times = Vec::new();
        for _ in 0..21 {
            let began = Instant::now();
            runtime.block_on(store.list_records(RecordOwner::default(), query.clone()))?;
            times.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(setting::median(times))
    };
    let latest = list_ms(&RecordQuery { limit: 100, ..RecordQuery::default() })?;
    let of_key = list_ms(&RecordQuery { subject: Some(7), limit: 100, ..RecordQuery::default() })?;
    // The first write of a key after a start counts its window again; later ones do not.
    let first = runtime.block_on(debits_us(&store, policy))?;
    let later = runtime.block_on(debits_us(&store, policy))?;
    println!(
        "{records:>12}  {start_ms:>6.0} ms  {latest:>9.2} ms  {of_key:>9.2} ms  {first:>10.0} us  {later:>9.0} us"
    );
    store.close();
    Ok(())
}

async fn debits_us(store: &Arc<Store>, policy: &Arc<Policy>) -> Outcome<f64> {
    let mut times = Vec::new();
    for key in setting::keys(store).iter().take(200) {
        let request = setting::request(store, policy, key)?;
        let began = Instant::now();
        let reserved =
            store.reserve(request).await?.map_err(|refused| refused.refusal.reason.name())?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
        store.settle(reserved, Settlement::NOT_SENT);
        store.flush().await?;
    }
    Ok(setting::median(times))
}

/// Writes old records straight into the file, as a long life would have.
fn grow(data: &Path, records: u64) -> Outcome<()> {
    let mut connection = Connection::open(data.join("keystile.db"))?;
    connection.execute_batch("PRAGMA synchronous = OFF")?;
    let (last_id, last_time): (i64, i64) = connection.query_row(
        "SELECT coalesce(max(id), 0), coalesce(max(time), unixepoch() * 1000) FROM journal",
        [],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )?;
    let records = i64::try_from(records)?;
    // They come before those that are there, which keep their numbers by being moved to the end.
    let begin = last_time - DAY_MILLIS / 2 - records * APART_MILLIS;
    let transaction = connection.transaction()?;
    transaction.execute("DELETE FROM journal", [])?;
    transaction.execute("DELETE FROM journal_by_subject", [])?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO journal (id, time, subject, plan, api, operation, method, path, address, user_agent,
                                  request_bytes, response_bytes, status, duration_ms, outcome, cost, count)
             VALUES (?1, ?2, ?3, 'open', 'bookmarks', ?4 || ' *', ?4, '/bookmarks', ?5, 'bench',
                     1024, 20, 201, 1, ?6, ?6 = 1, 1)",
        )?;
        let keys = i64::try_from(setting::KEYS)?;
        for number in 1..=records {
            let (subject, method, address, outcome) = if number % 1_000_000 == 500_000 {
                (keys, "DELETE", listing::RARE_ADDRESS.to_owned(), 4)
            } else {
                let method = match number % 10 {
                    0..7 => "POST",
                    7 | 8 => "PUT",
                    _ => "PATCH",
                };
                let place = number.wrapping_mul(2_654_435_761) / 64 % 20_000;
                let outcome = match number % 100 {
                    0..3 => 5,
                    3 => 2,
                    _ => 1,
                };
                (
                    number % (keys - 1) + 1,
                    method,
                    format!("10.0.{}.{}", place / 200, place % 200),
                    outcome,
                )
            };
            let time = begin + number * APART_MILLIS;
            insert.execute(params![last_id + number, time, subject, method, address, outcome])?;
        }
    }
    transaction.execute(
        "INSERT INTO journal_by_subject SELECT subject, id, time, cost FROM journal ORDER BY subject, id",
        [],
    )?;
    for name in ["indexed_to", "pending_from"] {
        transaction.execute(
            "INSERT OR REPLACE INTO meta VALUES (?1, ?2)",
            params![name, (last_id + records).to_string()],
        )?;
    }
    transaction.commit()?;
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}
