//! Reading the configuration again, and putting it in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_engine::command::{Done, Failure, FailureKind};
use keystile_engine::{Engine, Reloader};

use super::engine_settings::engine_settings;
use crate::config;
use crate::key_sources::KeySources;

/// What a reload reads.
#[derive(Debug)]
pub(super) struct Configured {
    /// The file; `None` for a server without one.
    pub(super) file: Option<PathBuf>,
    pub(super) observes_all: bool,
    pub(super) key_sources: KeySources,
}

impl Configured {
    /// Reads it again whenever an owner says so.
    pub(super) fn reloader(self) -> Reloader {
        let configured = Arc::new(self);
        Reloader::new(move |engine, actor| Box::pin(reload(configured.clone(), engine, actor)))
    }
}

async fn reload(
    configured: Arc<Configured>,
    engine: Arc<Engine>,
    actor: Actor,
) -> Result<Done, Failure> {
    let Some(file) = &configured.file else {
        return Err(Failure {
            kind: FailureKind::Invalid,
            message: "this server was started without a configuration file".to_owned(),
            help: Some(
                "write one with `keystile init`, then `keystile run --config keystile.toml`"
                    .to_owned(),
            ),
        });
    };
    match config::load(file) {
        Ok(configuration) => {
            let configuration =
                if configured.observes_all { configuration.observing() } else { configuration };
            let settings = engine_settings(&configuration);
            let accounts = match configured.key_sources.prepare(configuration.threescale).await {
                Ok(accounts) => accounts,
                Err(error) => return Err(refused(&engine, &error.to_string(), actor).await),
            };
            engine.store().set_timeout(configuration.store_timeout);
            engine.replace_policy(configuration.policy, settings);
            let said = configured.key_sources.put_in_force(&engine, accounts).await;
            engine.begin_watching().await;
            engine.note_reload(actor).await;
            tracing::info!(file = %file.display(), "the policy was read again");
            Ok(Done(reloaded(file, &said)))
        }
        Err(report) => {
            let problems = report.render(100, config::Colors::Off);
            let summary = report
                .problems()
                .first()
                .map(|problem| problem.message().to_owned())
                .unwrap_or_default();
            tracing::error!(file = %file.display(), problem = %summary, "the configuration has mistakes; the policy in force stays");
            engine.note_failed_reload(&summary, actor).await;
            Err(Failure {
                kind: FailureKind::Invalid,
                message: format!(
                    "the configuration {} has mistakes; the policy in force stays\n\n{problems}",
                    file.display()
                ),
                help: Some(format!(
                    "mend them, try `keystile check {}`, and reload again",
                    file.display()
                )),
            })
        }
    }
}

/// A configuration that has no mistakes and cannot be put in force, all the same.
async fn refused(engine: &Arc<Engine>, problem: &str, actor: Actor) -> Failure {
    tracing::error!(%problem, "the configuration cannot be put in force; what is in force stays");
    engine.note_failed_reload(problem, actor).await;
    Failure {
        kind: FailureKind::Invalid,
        message: format!("{problem}; what is in force stays"),
        help: Some("mend that, and reload again".to_owned()),
    }
}

/// What a reload did, and what it cannot do.
fn reloaded(file: &Path, said: &[String]) -> String {
    let name = file.display();
    let mut text = format!(
        "Read {name} again: its APIs, plans, channels, watch rules and accounts of 3scale are in force. \
         `data`, [console], [threescale_backend], and [gate] but for key_failures change with a restart."
    );
    for sentence in said {
        text.push(' ');
        text.push_str(sentence);
    }
    text
}
