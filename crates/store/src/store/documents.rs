//! Documents: what a part of the program keeps of its own.

use keystile_core::actor::Actor;

use crate::doors::documents::{
    Document, DocumentChange, DocumentEvent, DocumentName, DocumentVersion, ExpectedDocument,
};
use crate::doors::source_change::SourceChange;
use crate::error::Result;
use crate::sqlite::documents;
use crate::sqlite::keys::source_change;
use crate::store::Store;

impl Store {
    /// Documents of a collection by id, after one, at most so many.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn list_documents(
        &self,
        collection: String,
        after: String,
        limit: u32,
    ) -> Result<Vec<Document>> {
        self.query(move |connection| documents::list(connection, &collection, &after, limit)).await
    }

    /// A document, where it is there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn document(&self, name: DocumentName) -> Result<Option<Document>> {
        self.query(move |connection| documents::find(connection, &name)).await
    }

    /// Keeps a document, and says which version that is.
    ///
    /// # Errors
    /// As [`Store::change_documents`].
    pub async fn put_document(
        &self,
        name: DocumentName,
        expected: ExpectedDocument,
        body: String,
        event: Option<DocumentEvent>,
    ) -> Result<DocumentVersion> {
        self.change_documents(vec![DocumentChange::Put { name, expected, body }], event).await
    }

    /// Deletes a document.
    ///
    /// # Errors
    /// As [`Store::change_documents`].
    pub async fn delete_document(
        &self,
        name: DocumentName,
        expected: ExpectedDocument,
        event: Option<DocumentEvent>,
    ) -> Result<()> {
        let changes = vec![DocumentChange::Delete { name, expected }];
        self.change_documents(changes, event).await.map(drop)
    }

    /// Makes changes in their order and in one transaction, and records an event in it. Says which version
    /// all that was put has now.
    ///
    /// # Errors
    /// `Stale` where a document has another version than is expected or is gone, `Exists` where none is
    /// expected, `Conflict` where names, bodies or their number are out of bounds or a body is not JSON; when
    /// the store cannot commit. Nothing was changed then, and no event recorded.
    pub async fn change_documents(
        &self,
        changes: Vec<DocumentChange>,
        event: Option<DocumentEvent>,
    ) -> Result<DocumentVersion> {
        documents::check(&changes)?;
        self.write(move |tx| documents::change(tx, &changes, event.as_ref())).await
    }

    /// Makes a change of a key source: its documents, and what follows of applications and keys. Says which keys
    /// could not be taken over and why, each in a sentence.
    ///
    /// # Errors
    /// As [`Store::change_documents`]; `Missing` where an application that follows is not there.
    pub async fn change_source(&self, change: SourceChange, actor: Actor) -> Result<Vec<String>> {
        source_change::check(&change)?;
        self.write(move |tx| source_change::make(tx, &change, &actor)).await
    }
}
