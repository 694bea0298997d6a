//! Reading the configuration again. The program does it, because files and their form are its affair.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::owners::scope::Scope;
use serde::{Deserialize, Serialize};

use crate::command::{Authorized, Command, Done, Failure, Running};
use crate::execute::conflict;
use crate::{Engine, advice};

/// A configuration that is being read.
pub type Reloading = Pin<Box<dyn Future<Output = Result<Done, Failure>> + Send>>;

/// How the configuration is read again and put in force for somebody.
pub struct Reloader(Box<dyn Fn(Arc<Engine>, Actor) -> Reloading + Send + Sync>);

impl Reloader {
    /// One that does it as the program says.
    pub fn new(reload: impl Fn(Arc<Engine>, Actor) -> Reloading + Send + Sync + 'static) -> Self {
        Self(Box::new(reload))
    }
}

impl fmt::Debug for Reloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reloader").finish_non_exhaustive()
    }
}

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
