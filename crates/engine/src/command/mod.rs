//! What somebody can ask for, as types.
//!
//! Every door (console, admin API, command line, action link) makes a value that is a [`Command`] and
//! hands it to [`Engine::execute`] with the [`Principal`] who asks. That is the only place where a
//! command is allowed and carried out: a door cannot forget a scope, and nobody guesses what an answer
//! is. Each command stands in the file of its noun, with what it needs as its fields.
//!
//! What the command line asks of a running server crosses the control socket as a [`wire::WireCommand`].

use std::pin::Pin;
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;

use crate::engine::Engine;

pub(crate) mod done;
pub(crate) mod failure;
pub(crate) mod input;
pub mod wire;

pub use done::{Done, Edited};
pub use failure::{Failure, FailureKind};

/// A command that is being carried out. It is boxed so that all of it is compiled here, once, and not in
/// every crate that awaits it.
pub type Running<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// Something that can be asked of the engine.
pub trait Command: Send + Sized + 'static {
    /// What comes back when it has been carried out.
    type Answer: Send + 'static;
    /// What somebody must be allowed to do who asks for it.
    const SCOPE: Scope;

    /// Carries it out for somebody who may ask for it. Only [`Engine::execute`] can call this.
    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Self::Answer>;
}

/// That somebody may do what they ask for. Only [`Engine::execute`] makes one.
#[derive(Debug)]
pub struct Authorized {
    actor: Actor,
    principal: Principal,
}

impl Authorized {
    /// Who asks.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The owner who asks, for what belongs to one owner: their sessions, passkeys, password and devices.
    ///
    /// # Errors
    /// `Forbidden` when it is not an owner who is signed in.
    pub fn owner(&self) -> Result<OwnerId, Failure> {
        match &self.principal {
            Principal::Owner { id, .. } => Ok(*id),
            Principal::Token { .. }
            | Principal::CommandLine { .. }
            | Principal::Link { .. }
            | Principal::KeySource { .. }
            | Principal::System => Err(Failure {
                kind: FailureKind::Forbidden,
                message: format!("this is for owners who are signed in, not for {}", self.actor),
                help: Some("sign in at the console".to_owned()),
            }),
        }
    }

    /// Whom the audit names.
    pub fn actor(&self) -> &Actor {
        &self.actor
    }
}

impl Engine {
    /// Carries out a command. What it changes is durable once this returns.
    ///
    /// # Errors
    /// When the principal may not ask for it, and when it cannot be carried out; nothing was changed then.
    pub async fn execute<C: Command>(
        self: &Arc<Self>,
        principal: &Principal,
        command: C,
    ) -> Result<C::Answer, Failure> {
        let by = authorize(principal, C::SCOPE)?;
        command.run(self, &by).await
    }
}

fn authorize(principal: &Principal, needed: Scope) -> Result<Authorized, Failure> {
    if principal.allows(needed) {
        return Ok(Authorized { actor: principal.actor(), principal: principal.clone() });
    }
    Err(Failure {
        kind: FailureKind::Forbidden,
        message: format!(
            "this needs the scope {needed}, which {} does not have",
            principal.actor()
        ),
        help: Some(format!("use a token with the scope {needed}")),
    })
}
