//! Action links: what an owner can do from a message, without signing in.
//!
//! # What this protects
//!
//! A link is signed with a key that is derived from the pepper, and bound to one act, one key, one end and
//! one message. It acts once. Whoever has the link can lock that key and nothing else; unlocking, which
//! would help an attacker who reads mail, wants a signed-in owner and has no link.
//!
//! # How
//!
//! [`Engine::look_at_action`] is what a page shows to whoever opens the link, also to a scanner: it changes
//! nothing. [`Engine::use_action`] acts; only the POST of a person calls it. Each use that is refused is in
//! the audit, in one line a minute for each reason, because anybody can try.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use keystile_core::key::{KeyId, Pepper, SigningKey};
use keystile_core::lock::{Actor, Lock, LockLevel};
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::{Span, Timestamp};
use keystile_store::sqlite::audit::event::EventKind;
use keystile_store::sqlite::notifications::action::{self, FirstUse};
use uuid::Uuid;

use crate::Engine;
use crate::command::{Failure, KeyView};
use crate::execute::failure;
use crate::keys::view;
use crate::notifications::signed;

/// Where the console takes action links; the token follows.
pub const ACTION_PATH: &str = "/action/";

/// How long a link acts. Mailboxes are kept for years and forwarded: without an end, whoever reads an old
/// message could lock a key whenever they like, and with one of an hour, the owner who reads the mail in
/// the morning could not.
const LINK_LIFE: Span = Span::from_secs(7 * 86_400);

/// How long a use is remembered beyond the link's end. If a use were forgotten while its link still acted,
/// for instance because the clock was set back in between, the link could be replayed: it would lock a
/// key again that its owner had unlocked.
const USED_KEPT: Span = Span::from_secs(86_400);

/// 128 bits tell messages apart. The same nonce in two messages would let the use of one void the other.
const NONCE_BYTES: usize = 16;

/// Version, act, key, end, nonce.
const TOKEN_BYTES: usize = 1 + 1 + 16 + 8 + NONCE_BYTES;
/// A token of another version is refused rather than read as what it is not.
const VERSION: u8 = 1;

/// Refused uses are written as one line a minute for each reason. Written one by one, somebody who posts
/// rubbish would fill the disk through the audit, which is never deleted from.
const REPORTED_EVERY: Span = Span::from_secs(60);

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// Stops the key's writes until its owner unlocks it.
    Lock,
}

impl Act {
    fn code(self) -> u8 {
        match self {
            Self::Lock => 1,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        (code == Self::Lock.code()).then_some(Self::Lock)
    }
}

/// Why a link does not act.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum LinkRefusal {
    /// It was cut, changed, or never made here.
    #[error("this link is not whole: it was cut or changed on its way")]
    Forged,
    /// Its time is over.
    #[error("this link has expired")]
    Expired,
    /// It has acted.
    #[error("this link has been used: it acts once")]
    Used,
    /// Its key is gone or revoked.
    #[error("the key of this link is revoked")]
    NoKey,
}

impl LinkRefusal {
    fn name(self) -> &'static str {
        match self {
            Self::Forged => "not whole",
            Self::Expired => "expired",
            Self::Used => "used before",
            Self::NoKey => "its key is revoked",
        }
    }
}

/// What a link offers to whoever opens it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionOffer {
    /// What it would do.
    pub act: Act,
    /// The key.
    pub key: KeyView,
    /// When the link stops acting.
    pub expires: Timestamp,
}

/// What a link did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionDone {
    /// What it was for.
    pub act: Act,
    /// The key, as it is now.
    pub key: KeyView,
    /// In a sentence.
    pub said: String,
}

/// What a token says, once its signature has been found good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Token {
    act: Act,
    key: KeyId,
    expires: Timestamp,
    nonce: [u8; NONCE_BYTES],
}

fn signing_key(pepper: &Pepper) -> SigningKey {
    pepper.signing_key("keystile action link")
}

impl Token {
    fn bytes(&self) -> [u8; TOKEN_BYTES] {
        let mut bytes = [0; TOKEN_BYTES];
        bytes[0] = VERSION;
        bytes[1] = self.act.code();
        bytes[2..18].copy_from_slice(self.key.uuid().as_bytes());
        bytes[18..26].copy_from_slice(&self.expires.0.to_be_bytes());
        bytes[26..].copy_from_slice(&self.nonce);
        bytes
    }

    fn text(&self, pepper: &Pepper) -> String {
        signed::token(&signing_key(pepper), &self.bytes())
    }

    fn read(text: &str, pepper: &Pepper) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = signed::read(&signing_key(pepper), text)?;
        if bytes[0] != VERSION {
            return None;
        }
        Some(Self {
            act: Act::of_code(bytes[1])?,
            key: KeyId::new(Uuid::from_slice(&bytes[2..18]).ok()?),
            expires: Timestamp(i64::from_be_bytes(bytes[18..26].try_into().ok()?)),
            nonce: bytes[26..].try_into().ok()?,
        })
    }

    /// Under what its use is remembered: the token itself, whatever the text around it.
    fn hash(&self, pepper: &Pepper) -> SecretHash {
        let hash = pepper.derived("keystile action link").derived("use").hash(&self.bytes());
        SecretHash::from_slice(hash.as_bytes()).expect("both have 32 bytes")
    }

    fn actor(&self) -> Actor {
        Actor::Link(Uuid::from_bytes(self.nonce).simple().to_string())
    }
}

/// Uses that were refused since they were last written down.
#[derive(Debug, Default)]
pub(crate) struct RefusedLinks(Mutex<HashMap<LinkRefusal, (Timestamp, u64)>>);

impl RefusedLinks {
    fn note(&self, refusal: LinkRefusal, now: Timestamp) {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused.entry(refusal).or_insert((now, 0)).1 += 1;
    }

    fn take(&self, first_before: Timestamp) -> Vec<(LinkRefusal, u64)> {
        let mut refused = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        refused
            .extract_if(|_, (first, _)| *first <= first_before)
            .map(|(refusal, (_, count))| (refusal, count))
            .collect()
    }
}

impl Engine {
    /// The address that does something to a key when a person says so. One message has one link: asked
    /// again with its nonce and time, the link is the same.
    pub fn action_link(&self, act: Act, key: KeyId, made: Timestamp, nonce: Uuid) -> String {
        let token = Token { act, key, expires: made.plus(LINK_LIFE), nonce: *nonce.as_bytes() };
        format!("{}{ACTION_PATH}{}", self.console_url(), token.text(self.store.pepper()))
    }

    /// What a link would do. Changes nothing, however often it is called. Blocks.
    pub fn look_at_action(&self, text: &str) -> Result<ActionOffer, LinkRefusal> {
        let pepper = self.store.pepper();
        let token = Token::read(text, pepper).ok_or(LinkRefusal::Forged)?;
        if self.store.now() >= token.expires {
            return Err(LinkRefusal::Expired);
        }
        let used = self.store.read(|read| action::used_at(read, &token.hash(pepper)));
        if !matches!(used, Ok(None)) {
            return Err(LinkRefusal::Used);
        }
        let key = self.action_key(token.key).ok_or(LinkRefusal::NoKey)?;
        Ok(ActionOffer { act: token.act, key, expires: token.expires })
    }

    fn action_key(&self, key: KeyId) -> Option<KeyView> {
        let row = self.find_key(&key.to_string()).ok().filter(|row| row.revoked.is_none())?;
        Some(view::key(row, None, None, self.store.now()))
    }

    /// Does what a link says, once.
    pub async fn use_action(&self, text: &str) -> Result<ActionDone, Failure> {
        let offer = match self.look_at_action(text) {
            Ok(offer) => offer,
            Err(refusal) => return Err(self.refuse_action(refusal)),
        };
        let pepper = self.store.pepper();
        let token = Token::read(text, pepper).expect("it was read a moment ago");
        let (hash, remembered) = (token.hash(pepper), token.expires.plus(USED_KEPT));
        let (id, actor) = (token.key.to_string(), token.actor());
        let first = self
            .store
            .change(move |work| {
                let first = work.use_action(&hash, remembered)?;
                if first == FirstUse::Yes {
                    let (_, entry) = work.find_key(&id)?;
                    let (level, reason) = (LockLevel::Writes, "locked from a message".to_owned());
                    let since = work.now();
                    let lock = Lock { level, reason, actor, since, until: None, evidence: None };
                    work.lock_key(&entry, lock)?;
                }
                Ok(first)
            })
            .await?;
        if first == FirstUse::No {
            return Err(self.refuse_action(LinkRefusal::Used));
        }
        let key = self.action_key(token.key).unwrap_or(offer.key);
        let stopped = match key.lock.as_ref().map(|lock| lock.level) {
            Some(LockLevel::All) => "all its calls stop",
            Some(LockLevel::Writes) | None => "its writes stop and its reads go on",
        };
        let said = format!(
            "{} of {} is locked: {stopped}, until an owner unlocks it.",
            key.prefix, key.application
        );
        Ok(ActionDone { act: offer.act, key, said })
    }

    fn refuse_action(&self, refusal: LinkRefusal) -> Failure {
        self.refused_links.note(refusal, self.store.now());
        failure(refusal.to_string(), "sign in at the console, where keys are locked and unlocked")
    }

    /// Writes down refused uses of the last minute.
    pub(crate) async fn report_refused_links(&self) {
        let before = Timestamp(self.store.now().0.saturating_sub(REPORTED_EVERY.millis()));
        self.write_refused_links(before).await;
    }

    /// Writes down all refused uses, because the server stops.
    pub async fn finish_refused_links(&self) {
        self.write_refused_links(Timestamp(i64::MAX)).await;
    }

    async fn write_refused_links(&self, first_before: Timestamp) {
        for (refusal, count) in self.refused_links.take(first_before) {
            let times = if count == 1 { String::new() } else { format!(", {count} times") };
            let detail = format!("{}{times}", refusal.name());
            self.note(EventKind::ActionLinkRefused, Actor::Stranger, detail).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token() -> Token {
        Token {
            act: Act::Lock,
            key: KeyId::new(Uuid::from_u128(7)),
            expires: Timestamp(1_000),
            nonce: [3; NONCE_BYTES],
        }
    }

    #[test]
    fn a_token_says_what_was_signed() {
        let pepper = Pepper::new([1; 32]);
        let text = token().text(&pepper);
        assert_eq!(Token::read(&text, &pepper), Some(token()));
        assert_eq!(Token::read(&text, &Pepper::new([2; 32])), None);
    }
}
