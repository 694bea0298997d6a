//! 3scale's backend: `authrep` over 64 connections that stay open, served by one thread.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keystile_engine::{Engine, EngineSettings};
use keystile_threescale::account::record::{
    ApplicationRecord, LimitRecord, MetricRecord, ServiceRecord,
};
use keystile_threescale::account::{Account, own_principal};
use keystile_threescale::backend::period::Period;
use keystile_threescale::server::{BackendServer, BackendSettings};

use crate::{Outcome, setting};

const CONNECTIONS: usize = 64;
const APPLICATIONS: usize = 1_000;
/// Threads that call; they share the other cores with the store's writer.
const CALLERS: usize = 4;

/// Measures and prints.
pub fn run(seconds: u64) -> Outcome<()> {
    let length = Duration::from_secs(seconds);
    for (title, periods, least) in [
        ("authrep, no count is durable", &[][..], 20_000.0),
        ("authrep, a month and a day durable", &[Period::Month, Period::Day][..], 10_000.0),
    ] {
        let mut rates = Vec::new();
        for _ in 0..3 {
            rates.push(measure(periods, length)?);
        }
        let rate = setting::median(rates);
        let met = if rate >= least { "met" } else { "missed" };
        println!("{title:36} {rate:8.0} /s   (at least {least}: {met})");
    }
    Ok(())
}

fn measure(periods: &[Period], length: Duration) -> Outcome<f64> {
    let directory = tempfile::Builder::new().prefix("keystile-bench-").tempdir_in(".")?;
    let store = setting::open(&directory.path().join("data"))?;
    let settings = EngineSettings {
        key_prefix: keystile_core::keys::text::KeyPrefix::default(),
        retention: None,
        key_failures: "300 per minute".parse()?,
        console_url: String::new(),
        gate: Vec::new(),
        watching: Arc::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let engine = Arc::new(Engine::new(store.clone(), setting::policy()?, settings));
    let account = runtime.block_on(account(engine, periods))?;
    let settings = BackendSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        internal: None,
        gateways: None,
        writes: None,
        mirror: None,
        tls: None,
        threads: 1,
    };
    let server = BackendServer::start(&account, &settings, None)?;
    let (passed, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (passed, is_over, address) = (&passed, &is_over, server.address());
            scope.spawn(move || call(address, caller, passed, is_over));
        }
        std::thread::sleep(length);
        is_over.store(true, Ordering::Relaxed);
    });
    let rate = passed.into_inner() as f64 / began.elapsed().as_secs_f64();
    server.stop();
    store.close();
    Ok(rate)
}

async fn account(engine: Arc<Engine>, periods: &[Period]) -> Outcome<Arc<Account>> {
    let account = Account::open(engine, None, None).await?;
    let limit = |period: &Period| LimitRecord {
        plan_id: "1".to_owned(),
        metric_id: "1".to_owned(),
        period: *period,
        max: 1 << 60,
    };
    let hits = MetricRecord { id: "1".to_owned(), name: "hits".to_owned(), parent_id: None };
    let service = ServiceRecord {
        id: "7".to_owned(),
        provider: account.provider_secret("pk"),
        is_default: true,
        backend_version: "1".to_owned(),
        state: "active".to_owned(),
        referrer_filters_required: false,
        metrics: vec![hits],
        limits: periods.iter().map(limit).collect(),
        tokens: vec![account.provider_secret("token")],
        alert_limits: Vec::new(),
    };
    account.change_service(&own_principal(), "7", |_| Some(service)).await?;
    for number in 0..APPLICATIONS {
        let id = number.to_string();
        let application = ApplicationRecord {
            service_id: "7".to_owned(),
            id: id.clone(),
            name: None,
            state: "active".to_owned(),
            plan_id: "1".to_owned(),
            plan_name: "Basic".to_owned(),
            user_key: Some(account.key(&format!("user-key-{number}"))),
            keys: Vec::new(),
            referrer_filters: Vec::new(),
            redirect_url: None,
        };
        account.change_application(&own_principal(), "7", &id, |_| Some(application)).await?;
    }
    Ok(account)
}

/// Calls on some connections, as one round of requests and one of answers, until it is over.
fn call(
    address: SocketAddr,
    caller: usize,
    passed: &AtomicU64,
    is_over: &AtomicBool,
) -> Outcome<()> {
    let mut connections = (0..CONNECTIONS / CALLERS)
        .map(|_| TcpStream::connect(address))
        .collect::<Result<Vec<_>, _>>()?;
    let mut number = caller;
    let mut answer = [0; 4096];
    while !is_over.load(Ordering::Relaxed) {
        for stream in &mut connections {
            number = (number + CALLERS) % APPLICATIONS;
            let request = format!(
                "GET /transactions/authrep.xml?service_token=token&service_id=7&user_key=user-key-{number}\
                 &usage%5Bhits%5D=1 HTTP/1.1\r\nhost: backend\r\n\
                 3scale-options: rejection_reason_header=1&limit_headers=1&no_body=1\r\n\r\n"
            );
            stream.write_all(request.as_bytes())?;
        }
        for stream in &mut connections {
            let mut length = 0;
            while !answer[..length].ends_with(b"\r\n\r\n") {
                length += stream.read(&mut answer[length..])?;
            }
            if !answer.starts_with(b"HTTP/1.1 200") {
                return Err("a call was refused".into());
            }
            passed.fetch_add(1, Ordering::Relaxed);
        }
    }
    Ok(())
}
