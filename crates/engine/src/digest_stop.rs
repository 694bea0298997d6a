//! Ending digests from the mail that they come in, with one click and without signing in.
//!
//! # What this protects
//!
//! A link is signed with a key that is derived from the pepper, and bound to one delivery: whoever has it can
//! end the digests of that delivery's rule to that delivery's receiver, and nothing else. What is told at
//! once, a lock above all, still comes; so a stranger who reads old mail cannot make an owner blind.
//!
//! # How
//!
//! Mail programs post to the link by themselves when a person says so (RFC 8058), a person who opens it
//! gets a page with a button. Fetching it changes nothing. Ending what has ended changes nothing either,
//! so the link needs no memory of its uses.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use keystile_core::key::{DeliveryId, Pepper};
use keystile_core::lock::Actor;
use keystile_store::digest_stop;
use keystile_store::outbox::{self, DeliveryRow};
use uuid::Uuid;

use crate::Engine;
use crate::command::{Answer, Failure};
use crate::execute::failure;

/// Where the console takes these links; the token follows.
pub const STOP_PATH: &str = "/stop/";

const ID_BYTES: usize = 16;
/// All of HMAC-SHA-256.
const SIGNATURE_BYTES: usize = 32;

/// Why a link does not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StopRefusal {
    /// It was cut, changed, or never made here.
    #[error("this link is not whole: it was cut or changed on its way")]
    Forged,
    /// Its delivery is forgotten.
    #[error("this link is older than what Keystile remembers of its deliveries")]
    TooOld,
}

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

fn signing_key(pepper: &Pepper) -> Pepper {
    pepper.derived("keystile digest stop")
}

fn token(id: DeliveryId, pepper: &Pepper) -> String {
    let mut bytes = id.uuid().as_bytes().to_vec();
    let signature = signing_key(pepper).hash(&bytes);
    bytes.extend(signature.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

fn read(text: &str, pepper: &Pepper) -> Option<DeliveryId> {
    // Longer texts are no tokens; they are not even decoded.
    if text.len() > (ID_BYTES + SIGNATURE_BYTES) * 2 {
        return None;
    }
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    if bytes.len() != ID_BYTES + SIGNATURE_BYTES {
        return None;
    }
    let (id, signature) = bytes.split_at(ID_BYTES);
    let expected = signing_key(pepper).hash(id);
    // Every byte is looked at: the time says nothing of how much of a guess was right.
    let difference = expected.as_bytes().iter().zip(signature).fold(0, |all, (a, b)| all | (a ^ b));
    (difference == 0).then(|| Uuid::from_slice(id).ok().map(DeliveryId::new))?
}

impl Engine {
    /// The address that ends the digests of a delivery; `None` where it is no digest to a mailbox.
    pub(crate) fn stop_link(&self, row: &DeliveryRow) -> Option<String> {
        row.notice.since?;
        row.receiver.as_ref()?;
        Some(format!("{}{STOP_PATH}{}", self.console_url(), token(row.id, self.store.pepper())))
    }

    /// What a link would end. Changes nothing. Blocks.
    pub fn look_at_stop(&self, text: &str) -> Result<StopOffer, StopRefusal> {
        let id = read(text, self.store.pepper()).ok_or(StopRefusal::Forged)?;
        let found = self.store.read(|read| {
            let row = outbox::find(read, id)?;
            let receiver = row.receiver.unwrap_or_default();
            let has_stopped = digest_stop::is_stopped(read, &row.channel, &row.rule, &receiver)?;
            Ok(StopOffer { rule: row.rule, channel: row.channel, receiver, has_stopped })
        });
        found.map_err(|_| StopRefusal::TooOld)
    }

    /// Ends the digests of a link.
    pub async fn use_stop(&self, text: &str) -> Result<StopOffer, Failure> {
        let refused = |refusal: StopRefusal| {
            failure(refusal.to_string(), "sign in at the console, or change the rule's channels")
        };
        let offer = self.look_at_stop(text).map_err(refused)?;
        let id = read(text, self.store.pepper()).expect("it was read a moment ago");
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
        Ok(Answer::Done(match resumed {
            0 => format!("No digests of {channel} were stopped."),
            _ => format!("The digests of {channel} go out again."),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_changed_bit_and_no_cut_is_believed() {
        let pepper = Pepper::new([1; 32]);
        let id = DeliveryId::new(Uuid::from_u128(7));
        let text = token(id, &pepper);
        assert_eq!(read(&text, &pepper), Some(id));
        assert_eq!(read(&text, &Pepper::new([2; 32])), None);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&text).unwrap();
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&BASE64_URL_SAFE_NO_PAD.encode(changed), &pepper), None, "bit {bit}");
        }
        for end in 0..text.len() {
            assert_eq!(read(&text[..end], &pepper), None, "cut at {end}");
        }
        assert_eq!(read(&"A".repeat(1 << 20), &pepper), None);
    }
}
