//! Work that blocks, off the threads that serve connections.

use std::sync::Arc;

use keystile_engine::Engine;
use keystile_engine::command::{Failure, FailureKind};

fn broke_off(error: &tokio::task::JoinError) -> Failure {
    tracing::error!(%error, "work broke off");
    Failure {
        kind: FailureKind::Fault,
        message: "the server failed while it did this".to_owned(),
        help: Some("see its log".to_owned()),
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
