//! What owners ask of a door that keeps accounts of another system.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::failure::missing;
use crate::command::{Authorized, Command, Running};
use crate::engine::Engine;
use crate::keys::account::{AccountPart, PartReport};
use crate::keys::source::SyncMode;

/// Takes over a part of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TakeOverAccount {
    /// The part.
    pub part: AccountPart,
    /// Whether it changes anything.
    #[serde(default)]
    pub mode: SyncMode,
}

impl Command for TakeOverAccount {
    type Answer = PartReport;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, PartReport> {
        Box::pin(async move {
            let Some(keeper) = engine.account_keeper.get() else {
                return Err(missing(
                    "nothing here keeps an account of another system",
                    "name the configuration that sets it up",
                ));
            };
            keeper.take_over(by.principal(), self.part, self.mode).await
        })
    }
}
