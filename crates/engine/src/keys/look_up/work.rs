//! Carrying look-ups out, away from the threads of the gate.

use std::sync::Arc;

use metrics::counter;
use tokio::task::JoinSet;

use crate::engine::{Engine, KeySource};
use crate::keys::look_up::answer::FoundThere;
use crate::keys::look_up::look_ups::{LookUps, NO_ANSWER, Question};

impl LookUps {
    /// Carries out the look-ups of a source, for ever. One that is broken off counts as not answered, and
    /// what of it was durable stays.
    pub async fn carry_out(source: Arc<dyn KeySource>, engine: Arc<Engine>) {
        let mut queue = source.look_ups().queue.lock().await;
        // Dropped with this future, and those under way with it.
        let mut under_way = JoinSet::new();
        while let Some(question) = queue.recv().await {
            let ends = Ends { source: source.clone(), engine: engine.clone(), question };
            under_way.spawn(ends.look_up());
            while under_way.try_join_next().is_some() {}
        }
    }
}

/// A look-up that ends, whatever becomes of it.
struct Ends {
    source: Arc<dyn KeySource>,
    engine: Arc<Engine>,
    question: Question,
}

impl Ends {
    async fn look_up(self) {
        let key = &self.question.key.text;
        let found = self.source.look_up(&self.engine, key).await.unwrap_or_else(|failure| {
            let source = self.source.name();
            tracing::warn!(%source, problem = %failure.message, "a key could not be looked up");
            NO_ANSWER
        });
        self.end(found);
    }

    fn end(&self, found: FoundThere) {
        let name = self.source.name().to_owned();
        counter!("keystile_key_look_ups_total", "source" => name, "result" => found.name())
            .increment(1);
        self.source.look_ups().end(self.question.key.hash, found, self.engine.store().now());
        self.question.answer.send_replace(Some(found));
    }
}

impl Drop for Ends {
    fn drop(&mut self) {
        if self.question.answer.borrow().is_none() {
            self.end(NO_ANSWER);
        }
    }
}
