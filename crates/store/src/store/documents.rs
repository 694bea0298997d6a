//! Documents: what a part of the program keeps of its own.

use crate::doors::documents::{
    Document, DocumentChange, DocumentEvent, DocumentName, DocumentVersion, ExpectedDocument,
};
use crate::error::Result;
use crate::sqlite::documents;
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
}
