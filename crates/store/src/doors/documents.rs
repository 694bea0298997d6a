//! Documents as the store gives and takes them: what a part of the program keeps of its own.
//!
//! # What this protects
//!
//! A door may have records that only it understands. It keeps them as JSON, in collections of its own, and the
//! store looks into none of them. A version is given once in the life of a store, also when a document is
//! deleted and another comes in its place, so whoever changes what they read does not undo what another did.
//!
//! Not here: what a document means, and an index over what it says.

use keystile_core::actor::Actor;
use keystile_core::time::Timestamp;

use crate::audit::EventKind;

/// The longest name of a collection and the longest id of a document, in bytes.
pub const DOCUMENT_NAME_BYTES_MAX: usize = 255;
/// The longest body of a document, in bytes.
pub const DOCUMENT_BODY_BYTES_MAX: usize = 1024 * 1024;
/// The most documents that are changed in one transaction.
pub const DOCUMENTS_AT_ONCE_MAX: usize = 2_000;
/// The longest bodies of one transaction taken together, in bytes.
pub const DOCUMENTS_AT_ONCE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where a document is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentName {
    /// Its collection: 1 to 255 bytes.
    pub collection: String,
    /// Its id in that: 1 to 255 bytes.
    pub id: String,
}

/// Numbers that which is kept of a document; a later one is larger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentVersion(pub i64);

/// A document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its id in its collection.
    pub id: String,
    pub version: DocumentVersion,
    /// JSON.
    pub body: String,
    /// When it was last changed.
    pub changed: Timestamp,
}

/// What a change is meant for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpectedDocument {
    /// Whatever is there, or nothing.
    Any,
    /// Nothing is there.
    Absent,
    /// What is there has this version.
    Version(DocumentVersion),
}

/// A change of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// Keeps a body: JSON of at most 1 MiB.
    Put {
        /// Where.
        name: DocumentName,
        /// What this is meant for.
        expected: ExpectedDocument,
        /// The body.
        body: String,
    },
    /// Deletes it. One that is not there is no mistake where anything is expected.
    Delete {
        /// Where.
        name: DocumentName,
        /// What this is meant for.
        expected: ExpectedDocument,
    },
}

/// An event that is recorded in the transaction of a change.
#[derive(Clone, Debug)]
pub struct DocumentEvent {
    /// What happened.
    pub kind: EventKind,
    /// The name of whom or what it concerns, where there is one.
    pub subject: Option<String>,
    /// Who did it.
    pub actor: Actor,
    /// What the audit says of it.
    pub detail: String,
}
