//! Reading the configuration again. The program does it, because files and their form are its affair.

use std::sync::Arc;

use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::advice;
use crate::command::failure::conflict;
use crate::command::{Authorized, Command, Done, Running};
use crate::engine::{Engine, Reloader};

/// Reads the configuration file again and swaps the policy. A file with mistakes changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload;

impl Command for Reload {
    type Answer = Done;
    const SCOPE: Scope = Scope::Admin;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Done> {
        Box::pin(async move {
            let Some(Reloader(reload)) = engine.reloader.get() else {
                return Err(conflict("no server is running here", advice::START_SERVER));
            };
            reload(engine.clone(), by.actor().clone()).await
        })
    }
}
