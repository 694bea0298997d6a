//! Admissions: reserve and settle, each reservation durable before it returns.

use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keystile_core::journal::Outcome as WriteOutcome;
use keystile_core::policy::Policy;
use keystile_store::Store;
use keystile_store::reservation::Settlement;
use tokio::runtime::{Builder, LocalOptions};

use crate::{Outcome, setting};

const ADMISSIONS_MIN: f64 = 50_000.0;
const LATENCY_RATIO_MAX: f64 = 1.3;
/// A record and its share of the pages around it.
const RAW_BYTES: usize = 4_152 * 2;

/// Measures and prints.
pub fn run(waiting: u64, seconds: u64) -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("keystile-bench-").tempdir_in(".")?;
    let store = setting::open(&directory.path().join("data"))?;
    let policy = Arc::new(setting::policy()?);
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(setting::issue(&store))?;
    let length = Duration::from_secs(seconds);
    // One after the other: a raw append with fdatasync, and an admission that waits alone.
    let mut raw = Vec::new();
    let mut alone = Vec::new();
    for _ in 0..5 {
        raw.push(fdatasync_us(directory.path())?);
        alone.push(runtime.block_on(admit_alone(&store, &policy))?);
    }
    let (raw, alone) = (setting::median(raw), setting::median(alone));
    let ratio = alone / raw;
    println!("fdatasync after an append    {raw:8.1} us");
    println!(
        "admission, one waiting       {alone:8.1} us   ratio {ratio:.2} (at most {LATENCY_RATIO_MAX}: {})",
        met(ratio <= LATENCY_RATIO_MAX)
    );
    let mut rates = Vec::new();
    for _ in 0..3 {
        rates.push(runtime.block_on(admit_many(&store, &policy, waiting, length))?);
    }
    let rate = setting::median(rates);
    println!(
        "admissions, {waiting} waiting     {rate:8.0} /s   (at least {ADMISSIONS_MIN}: {})",
        met(rate >= ADMISSIONS_MIN)
    );
    store.close();
    Ok(())
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}

fn fdatasync_us(directory: &Path) -> Outcome<f64> {
    let mut file = File::create(directory.join("raw"))?;
    let block = vec![1; RAW_BYTES];
    let mut times = Vec::new();
    for _ in 0..200 {
        let began = Instant::now();
        file.write_all(&block)?;
        file.sync_data()?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
    }
    Ok(setting::median(times))
}

pub(crate) fn settlement() -> Settlement {
    Settlement {
        outcome: WriteOutcome::Applied,
        status: Some(201),
        duration_ms: 1,
        request_bytes: Some(1024),
        response_bytes: Some(20),
    }
}

async fn admit_alone(store: &Arc<Store>, policy: &Arc<Policy>) -> Outcome<f64> {
    let keys = setting::keys(store);
    let mut times = Vec::new();
    for key in keys.iter().cycle().take(400) {
        let request = setting::request(store, policy, key)?;
        let began = Instant::now();
        let reserved =
            store.reserve(request).await?.map_err(|refused| refused.refusal.reason.name())?;
        times.push(began.elapsed().as_secs_f64() * 1e6);
        store.settle(reserved, settlement());
        // A caller's next write comes later than the settlement of the one before.
        store.flush().await?;
    }
    Ok(setting::median(times))
}

async fn admit_many(
    store: &Arc<Store>,
    policy: &Arc<Policy>,
    waiting: u64,
    length: Duration,
) -> Outcome<f64> {
    let admitted = Rc::new(Cell::new(0_u32));
    let keys = Rc::new(setting::keys(store));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..waiting {
        let (store, policy, keys, admitted) =
            (store.clone(), policy.clone(), keys.clone(), admitted.clone());
        tasks.spawn_local(async move {
            let mut at = usize::try_from(number).unwrap_or(0) * 13;
            while began.elapsed() < length {
                let request = setting::request(&store, &policy, &keys[at % keys.len()])?;
                let reserved = store
                    .reserve(request)
                    .await?
                    .map_err(|refused| refused.refusal.reason.name())?;
                store.settle(reserved, settlement());
                admitted.set(admitted.get() + 1);
                at += 1;
            }
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    Ok(f64::from(admitted.get()) / began.elapsed().as_secs_f64())
}
