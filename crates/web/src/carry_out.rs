//! Reading the store and carrying out commands off the threads that serve connections.

use std::sync::Arc;

use keystile_core::lock::Actor;
use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::legacy::{Answer, Command};
use tokio::runtime::Handle;

fn broke_off(error: &tokio::task::JoinError) -> Failure {
    tracing::error!(%error, "a command broke off");
    Failure {
        kind: FailureKind::Fault,
        message: "the server failed while it did this".to_owned(),
        help: Some("see its log".to_owned()),
    }
}

/// Carries out a command; what it changes is durable once this returns.
pub(crate) async fn carry_out(
    engine: &Arc<Engine>,
    command: Command,
    actor: Actor,
) -> Result<Answer, Failure> {
    let (engine, runtime) = (engine.clone(), Handle::current());
    // Lists and backups read for long; they must not hold up health checks.
    let work = move || runtime.block_on(engine.execute_legacy(command, actor));
    match tokio::task::spawn_blocking(work).await {
        Ok(Answer::Failed(failure)) => Err(failure),
        Ok(answer) => Ok(answer),
        Err(error) => Err(broke_off(&error)),
    }
}

/// Runs work that blocks.
pub(crate) async fn blocking<T: Send + 'static>(
    engine: &Arc<Engine>,
    work: impl FnOnce(&Arc<Engine>) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let engine = engine.clone();
    match tokio::task::spawn_blocking(move || work(&engine)).await {
        Ok(done) => done,
        Err(error) => Err(broke_off(&error)),
    }
}
