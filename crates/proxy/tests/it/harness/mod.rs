//! A gate, those who call it, and what stands behind it.

mod caller;
mod caller2;
mod certificates;
mod make;
mod test_gate;
mod upstream;
mod upstream2;
mod wire;

use std::time::Duration;

pub(crate) use caller::{Answer, Caller, request};
pub(crate) use caller2::{Caller2, read_answer, request2};
pub(crate) use certificates::Authority;
pub(crate) use make::{api, keyless, plan, rule, settings};
pub(crate) use test_gate::TestGate;
pub(crate) use upstream::{Log, Reply, Seen, Upstream, nobody};
pub(crate) use upstream2::{Reply2, start2, start2_tls};
pub(crate) use wire::{Head, Wire};

/// Nothing that a test waits for takes longer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for something that must come soon.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(PATIENCE, future).await;
    done.unwrap_or_else(|_| panic!("{what} did not come in time"))
}

/// Looks again and again until something is so.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, mut is_so: impl FnMut() -> F) {
    soon(what, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
}
