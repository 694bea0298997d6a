//! What a door changes that answers for a key source: documents of its own, and the applications and keys here that
//! follow them, in one transaction.
//!
//! # What this protects
//!
//! The source says which keys an application has, and the gate and owners see the same: there is no moment, and no
//! crash, between the two. Owners stay in charge of what they did themselves: a key that one of them revoked stays
//! revoked, a key that is another application's stays that application's, and a lock outlives the key that it was on.
//! Whoever replaces a locked key has the lock on the new one; where the last key ends, its lock is the application's
//! until an owner unlocks that, and so is one that stands for an owner's revocation.

use keystile_core::keys::application::{ApplicationId, ApplicationState};
use keystile_core::keys::hash::KeyHash;

use crate::doors::documents::{DocumentChange, DocumentEvent};
use crate::keys::NewKeyRow;

/// The most applications that follow in one transaction: writes at the gate wait for it.
pub const FOLLOWED_AT_ONCE_MAX: usize = 1_000;

/// Changes that belong together.
#[derive(Clone, Debug, Default)]
pub struct SourceChange {
    /// What the door keeps of its own.
    pub documents: Vec<DocumentChange>,
    /// The applications that follow, each at most once.
    pub applications: Vec<FollowedApplication>,
    /// What the audit says of it.
    pub events: Vec<SourceEvent>,
}

/// An event, and the application here that it concerns, where there is one.
#[derive(Clone, Debug)]
pub struct SourceEvent {
    /// What happened.
    pub event: DocumentEvent,
    /// The application here.
    pub application: Option<ApplicationId>,
}

/// How an application here follows the one at its source.
#[derive(Clone, Debug)]
pub struct FollowedApplication {
    /// Which one.
    pub id: ApplicationId,
    /// How it is made, where it is new.
    pub new: Option<NewApplication>,
    /// The plan that it is put on, with those of its keys that are on its present one.
    pub plan: Option<String>,
    /// Whether it may call from now on. Only a suspension by a key source is ended by one.
    pub state: Option<ApplicationState>,
    /// Keys that it no longer has.
    pub ended: Vec<KeyHash>,
    /// Keys that it has now and did not have before. They are on the plan that it has here.
    pub added: Vec<NewKeyRow>,
    /// All keys that it has now. Locks of keys that end pass on to them, or to the application where it has none.
    pub keys: Vec<KeyHash>,
}

/// An application to make.
#[derive(Clone, Debug)]
pub struct NewApplication {
    /// What it may be called: the first of these that no application has, or else its id behind the last.
    pub names: Vec<String>,
    /// Its plan.
    pub plan: String,
}
