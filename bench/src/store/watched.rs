//! What following the journal costs: processor time per admission with watch rules and without.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::tz::TimeZone;
use keystile_core::notifications::channel::{Audience, ChannelRule, ChannelSettings, ChannelSpec};
use keystile_core::notifications::trigger::Trigger;
use keystile_core::notifications::watch::{WatchRule, WatchRules};
use keystile_core::policy::Policy;
use keystile_store::Store;
use rusqlite::Connection;
use tokio::runtime::{Builder, LocalOptions};

use crate::admissions::settlement;
use crate::{Outcome, setting};

/// A round with a rule costs at most this many times one without.
const RATIO_MAX: f64 = 1.03;
/// As often as the notifier looks.
const LOOKED_EVERY: Duration = Duration::from_millis(250);

/// Measures and prints.
pub fn run(waiting: u64, rounds: u64) -> Outcome<()> {
    let directory = tempfile::Builder::new().prefix("keystile-bench-").tempdir_in(".")?;
    let store = setting::open(&directory.path().join("data"))?;
    let policy = Arc::new(setting::policy()?);
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    runtime.block_on(setting::issue(&store))?;
    let (off, met, levels) = (rules(&[])?, rules(&["bookmarks: *"])?, near()?);
    let missed = rules(&["bookmarks: DELETE *", "bookmarks: PUT /bookmarks/{id}"])?;
    let mut costs = [const { Vec::new() }; 4];
    let kinds = [&off, &met, &missed, &levels];
    for round in 0..usize::try_from(rounds)? {
        // Each kind comes first, and last, as often as the others.
        for place in 0..kinds.len() {
            let place = (place + round) % kinds.len();
            store.set_watching(kinds[place].clone());
            costs[place].push(runtime.block_on(cost_us(&store, &policy, waiting))?);
        }
    }
    let medians = costs.map(setting::median);
    let names =
        ["no rule", "a rule that every write meets", "a rule that none meets", "budget levels"];
    for (name, cost) in names.into_iter().zip(medians) {
        let ratio = cost / medians[0];
        println!("{name:32} {cost:6.2} us of processor time each   ratio {ratio:.3}");
    }
    for (name, watching) in [(names[1], &met), (names[2], &missed)] {
        store.set_watching(watching.clone());
        let cost = runtime.block_on(followed_us(&store))?;
        println!("following alone, {name}: {cost:.2} us of processor time for each record");
    }
    println!(
        "for a whole write of the gate, add what `compare` says; the bound is {RATIO_MAX} of that"
    );
    store.close();
    Ok(())
}

fn watching(rules: Vec<WatchRule>) -> Arc<WatchRules> {
    let channel = ChannelRule {
        name: "ops".to_owned(),
        spec: ChannelSpec::new("webhook", String::new(), Audience::One, ChannelSettings::default()),
        per_hour_max: 60,
        allowed_networks: Vec::new(),
    };
    Arc::new(WatchRules::new(rules, vec![channel], TimeZone::UTC))
}

fn rules(on: &[&str]) -> Outcome<Arc<WatchRules>> {
    if on.is_empty() {
        return Ok(watching(Vec::new()));
    }
    let on = on.iter().map(|pattern| pattern.parse()).collect::<Result<_, _>>()?;
    let rule = WatchRule::new("watched", Trigger::Write, vec!["ops".to_owned()]);
    Ok(watching(vec![WatchRule { on, ..rule }]))
}

fn near() -> Outcome<Arc<WatchRules>> {
    let levels = vec![50, 80, 100];
    let rule = WatchRule::new("near", Trigger::BudgetLevel, vec!["ops".to_owned()]);
    Ok(watching(vec![WatchRule { levels, ..rule }]))
}

/// Processor time of this process per admission, while as many wait and the journal is followed.
async fn cost_us(store: &Arc<Store>, policy: &Arc<Policy>, waiting: u64) -> Outcome<f64> {
    let (length, began) = (Duration::from_secs(3), Instant::now());
    let admitted = Rc::new(Cell::new(0_u32));
    let keys = Rc::new(setting::keys(store));
    let before = processor_secs()?;
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
    while began.elapsed() < length {
        tokio::time::sleep(LOOKED_EVERY).await;
        follow(store).await?;
    }
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    store.flush().await?;
    follow(store).await?;
    Ok((processor_secs()? - before) * 1e6 / f64::from(admitted.get()))
}

/// Processor time for each record when all that is there is followed with nothing else under way.
async fn followed_us(store: &Arc<Store>) -> Outcome<f64> {
    let connection = Connection::open(store.directory().path().join("keystile.db"))?;
    let sql = "INSERT INTO meta (name, value) VALUES ('watched_to', '0')
               ON CONFLICT (name) DO UPDATE SET value = '0'";
    connection.execute(sql, [])?;
    let before = processor_secs()?;
    follow(store).await?;
    let cost = processor_secs()? - before;
    let records = store.count_records().await?;
    #[expect(clippy::cast_precision_loss, reason = "there are millions at most")]
    Ok(cost * 1e6 / records as f64)
}

/// What the notifier does in one look.
async fn follow(store: &Arc<Store>) -> Outcome<()> {
    while store.follow_journal(5_000).await? {}
    Ok(())
}

fn processor_secs() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let rest = stat.rsplit_once(')').ok_or("the kernel names this process")?.1;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    // USER_HZ is 100 on every Linux of today.
    Ok(f64::from(ticks) / 100.0)
}
