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
//! nothing. [`Engine::use_action`] acts, by a command that
//! [`Engine::execute`] carries out for the link; only the POST of a person calls it. Each use that is refused is in
//! the audit, in one line a minute for each reason, because anybody can try.

use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::hash::Pepper;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::LockLevel;
use keystile_core::keys::signing::SigningKey;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::SecretHash;
use keystile_core::time::{Span, Timestamp};
use keystile_store::audit::EventKind;
use keystile_store::owners::action_links::{LinkLock, LinkTarget};
use uuid::Uuid;

use crate::command::failure::failure;
use crate::command::{Authorized, Command, Failure, Running};
use crate::engine::Engine;
use crate::keys::key::KeyView;
use crate::notifications::link_token;
use crate::notifications::refused_links::LinkRefusal;

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
        link_token::sign(&signing_key(pepper), &self.bytes())
    }

    fn read(text: &str, pepper: &Pepper) -> Option<Self> {
        let bytes: [u8; TOKEN_BYTES] = link_token::verify(&signing_key(pepper), text)?;
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

    fn principal(&self) -> Principal {
        Principal::Link { name: Uuid::from_bytes(self.nonce).simple().to_string() }
    }
}

/// Does what a token says, once. Only [`Engine::use_action`] has a token to make it of.
#[derive(Debug)]
struct UseLink(Token);

impl Command for UseLink {
    type Answer = Result<KeyView, LinkRefusal>;
    const SCOPE: Scope = Scope::Write;

    fn run<'a>(self, engine: &'a Arc<Engine>, by: &'a Authorized) -> Running<'a, Self::Answer> {
        Box::pin(async move {
            let Self(token) = self;
            let Act::Lock = token.act;
            let link = LinkLock {
                hash: token.hash(engine.store.pepper()),
                remembered: token.expires.plus(USED_KEPT),
                key: token.key,
                reason: "locked from a message".to_owned(),
            };
            // One commit: were the use kept without the lock, the owner could not try again.
            let target = engine.store.lock_by_link(link, by.actor().clone()).await?;
            Ok(engine.key_of(target))
        })
    }
}

impl Engine {
    /// The address that does something to a key when a person says so. One message has one link: asked
    /// again with its nonce and time, the link is the same.
    pub fn action_link(&self, act: Act, key: KeyId, made: Timestamp, nonce: Uuid) -> String {
        let token = Token { act, key, expires: made.plus(LINK_LIFE), nonce: *nonce.as_bytes() };
        format!("{}{ACTION_PATH}{}", self.console_url(), token.text(self.store.pepper()))
    }

    /// What a link would do. Changes nothing, however often it is called.
    ///
    /// # Errors
    /// `Invalid` when the link does not act (any more); when the store cannot be read.
    pub async fn look_at_action(&self, text: &str) -> Result<ActionOffer, Failure> {
        let offer = match self.token_of(text) {
            Ok(token) => self.offer(token).await?,
            Err(refusal) => Err(refusal),
        };
        offer.map_err(refused)
    }

    /// The token that a link carries, while the link has not ended.
    fn token_of(&self, text: &str) -> Result<Token, LinkRefusal> {
        let token = Token::read(text, self.store.pepper()).ok_or(LinkRefusal::Forged)?;
        if self.store.now() >= token.expires {
            return Err(LinkRefusal::Expired);
        }
        Ok(token)
    }

    async fn offer(&self, token: Token) -> Result<Result<ActionOffer, LinkRefusal>, Failure> {
        let hash = token.hash(self.store.pepper());
        let key = self.key_of(self.store.link_target(hash, token.key).await?);
        Ok(key.map(|key| ActionOffer { act: token.act, key, expires: token.expires }))
    }

    fn key_of(&self, target: LinkTarget) -> Result<KeyView, LinkRefusal> {
        match target {
            LinkTarget::Key(row) => Ok(KeyView::of(*row, None, None, self.store.now())),
            LinkTarget::Used => Err(LinkRefusal::Used),
            LinkTarget::NoKey => Err(LinkRefusal::NoKey),
        }
    }

    /// Does what a link says, once.
    ///
    /// # Errors
    /// `Invalid` when the link does not act (any more); when the store cannot commit. Nothing was changed
    /// then, and a link that could act still can.
    pub async fn use_action(self: &Arc<Self>, text: &str) -> Result<ActionDone, Failure> {
        let token = self.token_of(text).map_err(|refusal| self.refuse_action(refusal))?;
        // Asked first, so that a link which cannot act is refused for its own reason.
        let offer = self.offer(token).await?.map_err(|refusal| self.refuse_action(refusal))?;
        let used = self.execute(&token.principal(), UseLink(token)).await?;
        let key = used.map_err(|refusal| self.refuse_action(refusal))?;
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
        refused(refusal)
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

fn refused(refusal: LinkRefusal) -> Failure {
    failure(refusal.to_string(), "sign in at the console, where keys are locked and unlocked")
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
