//! Carrying out what an owner asks for: each command goes to the file of its noun.

use std::sync::Arc;

use keystile_core::lock::Actor;
use keystile_store::error::Error;
use keystile_store::{backup, key};

use crate::command::{Answer, Command, Failure};
use crate::{Engine, view};

/// A listing never holds more than this in memory.
pub(crate) const LISTED_MAX: u32 = 10_000;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let message = match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        Self { message, help: error.help() }
    }
}

/// A failure with advice.
pub(crate) fn failure(message: impl Into<String>, help: &str) -> Failure {
    Failure { message: message.into(), help: Some(help.to_owned()) }
}

impl Engine {
    /// Carries out a command. What it changes is durable once this returns.
    pub async fn execute(self: &Arc<Self>, command: Command, actor: Actor) -> Answer {
        self.carry_out(command, actor).await.unwrap_or_else(Answer::Failed)
    }

    async fn carry_out(
        self: &Arc<Self>,
        command: Command,
        actor: Actor,
    ) -> Result<Answer, Failure> {
        match command {
            Command::Status => self.status(),
            Command::Reload => Err(failure("no server is running here", "start one: keystile run")),
            Command::CreateKeys { application, plan, count } => {
                self.create_keys(application, plan, count, actor).await
            }
            Command::ListKeys(filter) => self.list_keys(&filter).map(Answer::Keys),
            Command::ShowKey { key } => self.show_key(&key).await,
            Command::LockKey { key, level, reason, for_millis } => {
                self.lock_key(&key, level, reason, for_millis, actor).await
            }
            Command::UnlockKey { key, budgets } => self.unlock_key(&key, budgets, actor).await,
            Command::RollKey { key, grace_millis } => {
                self.roll_key(&key, grace_millis, actor).await
            }
            Command::RevokeKey { key } => self.revoke_key(&key, actor).await,
            Command::CreateApplication { name, plan } => {
                self.create_application(name, plan, actor).await
            }
            Command::ListApplications => {
                let rows = self.store.read(key::list_applications)?;
                Ok(Answer::Applications(rows.into_iter().map(view::application).collect()))
            }
            Command::ShowApplication { application } => self.show_application(&application),
            Command::SetApplicationState { application, state } => {
                self.set_application_state(&application, state, actor).await
            }
            Command::ListRecords(filter) => self.list_records(&filter).await,
            Command::Backup { to } => {
                let contents = backup::backup(&self.store, &to)?;
                Ok(Answer::Done(format!(
                    "Backed up {} keys and {} records to {} ({} bytes) and verified the copy. It holds the pepper: keep it private.",
                    contents.keys,
                    contents.records,
                    to.display(),
                    contents.bytes
                )))
            }
            Command::Diagnose => self.diagnose(),
        }
    }
}

pub(crate) fn check_name(name: &str) -> Result<(), Failure> {
    let is_fine = !name.trim().is_empty()
        && name.chars().count() <= 100
        && !name.chars().any(char::is_control);
    if is_fine && name.trim() == name && !name.starts_with("app_") {
        return Ok(());
    }
    Err(failure(
        "an application's name has 1 to 100 characters, none of them a control character, no blanks around it, and does not begin with app_",
        "for example: --application reader-app",
    ))
}
