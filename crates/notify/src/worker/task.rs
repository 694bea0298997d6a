//! The loop, and the tasks that it starts. What sends is a function that is handed in.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use keystile_core::notifications::delivery::AttemptOutcome;
use keystile_engine::Engine;
use keystile_engine::notifications::claimed::ClaimedDelivery;
use keystile_store::deliveries::LEASE;
use tokio::sync::{oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

/// What sends a delivery, and says what the other side answered.
pub(crate) type DeliverySender = Arc<dyn Fn(ClaimedDelivery) -> SendFuture + Send + Sync>;
/// A delivery that is being sent.
pub(crate) type SendFuture = Pin<Box<dyn Future<Output = AttemptOutcome> + Send>>;

/// How often it looks for watched writes, and for deliveries that wait for their next attempt.
const LOOKED_EVERY: Duration = Duration::from_millis(250);
/// At most this many deliveries of one channel are sent at a time.
const AT_ONCE: usize = 2;
/// How long one attempt may take. It must end well before the claim does ([`LEASE`]): were it longer, the
/// delivery would be claimed again while the other side may still be taking it, and arrive twice.
const ATTEMPT_MAX: Duration = Duration::from_mins(2);
const _: () = assert!(ATTEMPT_MAX.as_millis() + 30_000 < LEASE.duration().as_millis());
/// How long what is being sent may take to end when the server stops. What is cut off is sent once more
/// after the next start.
const STOP_MAX: Duration = Duration::from_secs(5);

/// A notifier that runs.
#[derive(Debug)]
pub struct Notifier {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
    /// Its other side goes with the task.
    running: watch::Receiver<()>,
}

impl Notifier {
    /// Starts one. It belongs to the runtime in which this is called.
    pub(crate) fn start(engine: Arc<Engine>, sender: DeliverySender) -> Self {
        let (stop, stopped) = oneshot::channel();
        let (runs, running) = watch::channel(());
        let task = tokio::spawn(async move {
            let _runs = runs;
            run(engine, sender, stopped).await;
        });
        Self { stop, task, running }
    }

    /// Waits until it has ended.
    pub async fn ended(&self) {
        let mut running = self.running.clone();
        while running.changed().await.is_ok() {}
    }

    /// Lets what is being sent come to its end, for a few seconds.
    pub async fn stop(self) {
        // It has ended already where nobody listens.
        let _ = self.stop.send(());
        if self.task.await.is_err() {
            tracing::error!("the notifier did not end in order");
        }
    }
}

/// Deliveries that are being sent.
struct UnderWay {
    engine: Arc<Engine>,
    sender: DeliverySender,
    by_channel: HashMap<String, usize>,
    tasks: JoinSet<String>,
}

async fn run(engine: Arc<Engine>, sender: DeliverySender, mut stopped: oneshot::Receiver<()>) {
    let mut under_way =
        UnderWay { engine, sender, by_channel: HashMap::new(), tasks: JoinSet::new() };
    let mut next_look = Instant::now();
    loop {
        if Instant::now() >= next_look {
            under_way.engine.follow_writes().await;
            next_look = Instant::now() + LOOKED_EVERY;
        }
        under_way.take_up().await;
        let engine = under_way.engine.clone();
        tokio::select! {
            _ = &mut stopped => break,
            () = tokio::time::sleep_until(next_look) => {}
            () = engine.store().outbox_filled() => {}
            Some(ended) = under_way.tasks.join_next() => under_way.end(ended),
        }
    }
    let all = async { while under_way.tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_MAX, all).await.is_err() {
        tracing::info!(
            "messages were being sent at the stop; they are sent again at the next start"
        );
    }
}

impl UnderWay {
    /// Claims what is due on channels that have a task free.
    async fn take_up(&mut self) {
        for delivery in self.engine.direct_deliveries_waiting() {
            self.send(delivery);
        }
        for channel in self.engine.due_channels().await {
            let busy = self.by_channel.get(&channel).copied().unwrap_or(0);
            let free = u32::try_from(AT_ONCE.saturating_sub(busy)).unwrap_or(0);
            if free > 0 {
                for delivery in self.engine.claim_deliveries(&channel, free).await {
                    self.send(delivery);
                }
            }
        }
    }

    fn send(&mut self, delivery: ClaimedDelivery) {
        let channel = delivery.channel.name.clone();
        *self.by_channel.entry(channel.clone()).or_default() += 1;
        let (engine, sender) = (self.engine.clone(), self.sender.clone());
        self.tasks.spawn(async move {
            attempt(&engine, &sender, delivery).await;
            channel
        });
    }

    fn end(&mut self, ended: Result<String, tokio::task::JoinError>) {
        match ended {
            Ok(channel) => {
                if let Some(busy) = self.by_channel.get_mut(&channel) {
                    *busy = busy.saturating_sub(1);
                }
                self.by_channel.retain(|_, busy| *busy > 0);
            }
            Err(error) => {
                tracing::error!(%error, "a message could not be sent for a fault of our own");
            }
        }
        if self.tasks.is_empty() {
            self.by_channel.clear();
        }
    }
}

/// One attempt, from the claim to its record.
async fn attempt(engine: &Engine, sender: &DeliverySender, delivery: ClaimedDelivery) {
    let (id, claim, channel) = (delivery.id, delivery.claim, delivery.channel.name.clone());
    let began = Instant::now();
    // A task of its own: a fault in what sends must not leave the claim to run out.
    let sending = tokio::spawn(sender(delivery));
    let abort = sending.abort_handle();
    let outcome = match tokio::time::timeout(ATTEMPT_MAX, sending).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => later("the message could not be sent for a fault of Keystile's own"),
        Err(_) => {
            abort.abort();
            later("no answer came for two minutes")
        }
    };
    let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::debug!(
        delivery.id = %id, channel, delivery.outcome = outcome.name(), said = outcome.said(),
        "an attempt at a delivery ended"
    );
    engine.record_attempt(id, claim, outcome, duration_ms).await;
}

fn later(said: &str) -> AttemptOutcome {
    AttemptOutcome::Later { said: said.to_owned(), retry_after: None }
}

#[cfg(test)]
mod tests;
