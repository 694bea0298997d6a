//! The decision on a request whose head has been read.

use std::hint::black_box;
use std::time::Instant;

use http::Method;
use keystile_core::decision::{Call, CallerState, decide};
use keystile_core::keys::application::ApplicationState;
use keystile_core::keys::key::{KeyId, KeyState};
use keystile_core::rate::RateState;
use keystile_core::time::Timestamp;

use crate::{Outcome, setting};

const CALLS: u32 = 2_000_000;
const NANOS_MAX: f64 = 150.0;

/// Measures and prints.
pub fn run() -> Outcome<()> {
    let policy = setting::policy()?;
    let rate = RateState::default();
    let api = policy
        .api("localhost", "/bookmarks/41", "/bookmarks/41")
        .map_err(|_| "the policy has one API")?;
    for (name, method) in [("read", Method::GET), ("write", Method::DELETE)] {
        let match_of = || api.api.operation(&method, black_box("/bookmarks/41"), "/bookmarks/41");
        let matching = nanos(|_| {
            black_box(match_of());
        });
        let operation = match_of();
        let deciding = nanos(|number| {
            let caller = CallerState::Key {
                id: KeyId::new(uuid::Uuid::nil()),
                state: KeyState::Active,
                application: ApplicationState::Active,
                plan: black_box("open"),
                rate: &rate,
            };
            let now = Timestamp(1_700_000_000_000 + i64::from(number));
            let decided =
                decide(&policy, &Call { api, operation: &operation, caller, objection: None, now });
            let _ = black_box(decided.is_ok());
        });
        let is_met = if deciding <= NANOS_MAX { "met" } else { "missed" };
        println!(
            "decide on a {name:<6} {deciding:6.0} ns   (at most {NANOS_MAX}: {is_met}); matching its operation {matching:.0} ns"
        );
    }
    Ok(())
}

/// The median of several rounds.
fn nanos(mut call: impl FnMut(u32)) -> f64 {
    let rounds = (0..7).map(|_| {
        let began = Instant::now();
        (0..CALLS).for_each(&mut call);
        began.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS)
    });
    setting::median(rounds.collect())
}
