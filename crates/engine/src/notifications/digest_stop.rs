//! Ending digests from the mail that they come in, with one click and without signing in.
//!
//! # What this protects
//!
//! A link is signed with a key that is derived from the pepper, and bound to one delivery: whoever has it can
//! end the digests of that delivery's rule to that delivery's receiver, and nothing else. What begins a storm
//! is still told, also where it had to wait and comes in a digest of its own, and so is what is told at
//! once, a lock above all; so a stranger who reads old mail cannot make an owner blind. They can end again
//! what an owner resumed, until Keystile forgets the delivery; the console says that it was ended.
//!
//! # How
//!
//! Mail programs post to the link by themselves when a person says so (RFC 8058), a person who opens it
//! gets a page with a button. Fetching it changes nothing, and ending what has ended neither.

use keystile_core::key::{DeliveryId, Pepper, SigningKey};
use keystile_core::lock::Actor;
use keystile_store::error::Error;
use keystile_store::sqlite::notifications::digest_stop;
use keystile_store::sqlite::notifications::outbox::{self, DeliveryRow};
use uuid::Uuid;

use crate::Engine;
use crate::advice;
use crate::command::Failure;
use crate::execute::missing;
use crate::legacy::Answer;
use crate::notifications::signed;

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
    let bytes = signed::read(&signing_key(pepper), token)?;
    Some(DeliveryId::new(Uuid::from_bytes(bytes)))
}

impl Engine {
    /// The address that ends the digests of a delivery; `None` where it is no digest to a mailbox.
    pub(crate) fn stop_link(&self, row: &DeliveryRow) -> Option<String> {
        row.notice.since?;
        row.receiver.as_ref().filter(|receiver| !receiver.starts_with("device_"))?;
        let token = signed::token(&signing_key(self.store.pepper()), row.id.uuid().as_bytes());
        Some(format!("{}{STOP_PATH}{token}", self.console_url()))
    }

    /// What a link would end. Changes nothing. Blocks.
    pub fn look_at_stop(&self, text: &str) -> Result<StopOffer, Failure> {
        let help = "sign in at the console, or change the channels of the rule";
        let id = delivery_of(text, self.store.pepper()).ok_or_else(|| {
            missing("this link is invalid or incomplete: it was cut or changed on its way", help)
        })?;
        let found = self.store.read(|read| {
            let row = outbox::find(read, id)?;
            let receiver = row.receiver.unwrap_or_default();
            let has_stopped = digest_stop::is_stopped(read, &row.channel, &row.rule, &receiver)?;
            Ok(StopOffer { rule: row.rule, channel: row.channel, receiver, has_stopped })
        });
        found.map_err(|error| match error {
            Error::Missing(_) => {
                missing("this link is older than what Keystile remembers of its deliveries", help)
            }
            error => error.into(),
        })
    }

    /// Ends the digests of a link.
    pub async fn use_stop(&self, text: &str) -> Result<StopOffer, Failure> {
        let offer = self.look_at_stop(text)?;
        if offer.has_stopped {
            return Ok(offer);
        }
        let id = delivery_of(text, self.store.pepper()).expect("it was read a moment ago");
        let actor = Actor::Link(id.uuid().simple().to_string());
        let StopOffer { rule, channel, receiver, .. } = offer.clone();
        self.store
            .change(move |work| work.stop_digests(&channel, &rule, &receiver, &actor))
            .await?;
        Ok(StopOffer { has_stopped: true, ..offer })
    }

    /// Lets the digests of a channel go out again, to all who stopped them.
    pub async fn resume_digests(&self, channel: &str, actor: Actor) -> Result<Answer, Failure> {
        let name = channel.to_owned();
        let resumed = self.store.change(move |work| work.resume_digests(&name, &actor)).await?;
        if resumed == 0 && self.store.watching().channel(channel).is_none() {
            let said = format!("there is no channel {channel}");
            return Err(missing(said, advice::LIST_CHANNELS));
        }
        Ok(Answer::Done(match resumed {
            0 => format!("No digests of {channel} were stopped."),
            _ => format!("The digests of {channel} go out again."),
        }))
    }
}
