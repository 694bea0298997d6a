//! Ending digests from the mail that they come in, with one click and without signing in.
//!
//! # What this protects
//!
//! A link is signed with a key that is derived from the pepper, and bound to one delivery: whoever has it can
//! end the digests of that delivery's rule to that delivery's receiver, and nothing else. The first of many events
//! is still told, also where it had to wait and comes in a digest of its own, and so is what is told at
//! once, a lock above all; so a stranger who reads old mail cannot make an owner blind. They can end again
//! what an owner resumed, until Keystile forgets the delivery; the console says that it was ended.
//!
//! # How
//!
//! Mail programs post to the link by themselves when a person says so (RFC 8058), a person who opens it
//! gets a page with a button. Fetching it changes nothing, and ending what has ended neither.

use std::sync::Arc;

use keystile_core::keys::hash::Pepper;
use keystile_core::keys::signing::SigningKey;
use keystile_core::notifications::delivery::DeliveryId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_store::deliveries::DeliveryRow;
use keystile_store::error::Error;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::advice;
use crate::command::failure::missing;
use crate::command::{Authorized, Command, Done, Failure, Running};
use crate::engine::Engine;
use crate::notifications::link_token;

/// What somebody can do whose link does not work.
const HELP: &str = "sign in at the console, or change the channels of the rule";

/// Where the console takes these links; the token follows.
pub const STOP_PATH: &str = "/stop/";

/// Digests that a link ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopOffer {
    /// The rule whose digests they are.
    pub rule: String,
    /// The channel.
    pub channel: String,
    /// The address that they go to.
    pub receiver: String,
    /// Whether they have ended already.
    pub has_stopped: bool,
}

fn signing_key(pepper: &Pepper) -> SigningKey {
    pepper.signing_key("keystile digest stop")
}

fn delivery_of(token: &str, pepper: &Pepper) -> Option<DeliveryId> {
    let bytes = link_token::verify(&signing_key(pepper), token)?;
    Some(DeliveryId::new(Uuid::from_bytes(bytes)))
}

impl Engine {
    /// The address that ends the digests of a delivery; `None` where it is no digest to a mailbox.
    pub(crate) fn stop_link(&self, row: &DeliveryRow) -> Option<String> {
        row.notice.since?;
        row.receiver.as_ref().filter(|_| row.device().is_none())?;
        let token = link_token::sign(&signing_key(self.store.pepper()), row.id.uuid().as_bytes());
        Some(format!("{}{STOP_PATH}{token}", self.console_url()))
    }

    /// What a link would end. Changes nothing.
    ///
    /// # Errors
    /// `Missing` when the link is not one of ours or its delivery is no longer known; when the store cannot
    /// be read.
    pub async fn stop_offer(&self, text: &str) -> Result<StopOffer, Failure> {
        let id = delivery_of(text, self.store.pepper()).ok_or_else(|| {
            missing("this link is invalid or incomplete: it was cut or changed on its way", HELP)
        })?;
        let found = self.store.digest_stop_of(id).await;
        found.map(|(row, has_stopped)| offer(row, has_stopped)).map_err(too_old)
    }

    /// Ends the digests of a link. What has ended stays so.
    ///
    /// # Errors
    /// As [`Engine::stop_offer`]; when the store cannot commit.
    pub async fn use_stop(self: &Arc<Self>, text: &str) -> Result<StopOffer, Failure> {
        let offer = self.stop_offer(text).await?;
        let Some(delivery) = delivery_of(text, self.store.pepper()).filter(|_| !offer.has_stopped)
        else {
            return Ok(offer);
        };
        let principal = Principal::Link { name: delivery.uuid().simple().to_string() };
        self.execute(&principal, StopDigests { delivery }).await
    }
}

fn offer(row: DeliveryRow, has_stopped: bool) -> StopOffer {
    let receiver = row.receiver.unwrap_or_default();
    StopOffer { rule: row.rule, channel: row.channel, receiver, has_stopped }
}

fn too_old(error: Error) -> Failure {
    match error {
        Error::Missing(_) => {
            missing("this link is older than what Keystile remembers of its deliveries", HELP)
        }
        error => error.into(),
    }
}

/// Ends the digests of a delivery's rule to that delivery's receiver.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopDigests {
    /// The delivery.
    pub delivery: DeliveryId,
}

/// Lets the digests of a channel go out again, to all who stopped them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResumeDigests {
    /// The channel's name.
    pub channel: String,
}

impl Command for StopDigests {
    type Answer = StopOffer;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, StopOffer> {
        Box::pin(async move {
            let stopped = engine.store.stop_digests(self.delivery, by.actor().clone()).await;
            stopped.map(|row| offer(row, true)).map_err(too_old)
        })
    }
}

impl Command for ResumeDigests {
    type Answer = Done;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Done> {
        Box::pin(async move {
            let name = self.channel.clone();
            let resumed = engine.store.resume_digests(self.channel, by.actor().clone()).await?;
            if resumed == 0 && engine.store.watching().channel(&name).is_none() {
                let said = format!("there is no channel {name}");
                return Err(missing(said, advice::LIST_CHANNELS));
            }
            Ok(Done(match resumed {
                0 => format!("No digests of {name} were stopped."),
                _ => format!("The digests of {name} go out again."),
            }))
        })
    }
}
