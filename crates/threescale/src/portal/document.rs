//! Records out of the portal's JSON, where each is wrapped in its own name:
//! `{"services":[{"service":{..}}]}`.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::PortalError;
use super::place::Place;
use super::quote::Quoter;

/// An answer's document.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) place: Place,
    pub(super) quoter: Quoter,
    pub(super) root: Value,
}

/// How much of a list a page is, where the portal says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PageMetadata {
    pub(super) current_page: u64,
    pub(super) total_pages: u64,
}

impl Document {
    /// The one record of this kind. Fails when it is not there or lacks what it must have.
    pub(super) fn one<T: DeserializeOwned>(mut self, name: &str) -> Result<T, PortalError> {
        let record = self.root.get_mut(name).map(Value::take);
        let record = record.ok_or_else(|| self.unreadable(name, "it is not there"))?;
        self.record(record, name)
    }

    /// The records of a list that has no name. Fails when one of them lacks what it must have.
    pub(super) fn bare_list<T: DeserializeOwned>(
        mut self,
        name: &str,
    ) -> Result<Vec<T>, PortalError> {
        self.root = serde_json::json!({ "list": self.root.take() });
        self.many("list", name)
    }

    /// The list and its records of this kind. Fails when one of them lacks what it must have.
    pub(super) fn many<T: DeserializeOwned>(
        &mut self,
        list: &str,
        name: &str,
    ) -> Result<Vec<T>, PortalError> {
        let items = match self.root.get_mut(list).map(Value::take) {
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.unreadable(list, "it is no list")),
            None => return Err(self.unreadable(list, "it is not there")),
        };
        let records = items.into_iter().enumerate().map(|(number, mut item)| {
            let at = format!("{list}[{number}].{name}");
            let record = item.get_mut(name).map(Value::take);
            self.record(record.ok_or_else(|| self.unreadable(&at, "it is not there"))?, &at)
        });
        records.collect()
    }

    /// The place of the page among all, which the portal says where there are more.
    pub(super) fn page_metadata(&self) -> Option<PageMetadata> {
        let metadata = self.root.get("metadata")?;
        let number = |name| metadata.get(name).and_then(Value::as_u64);
        Some(PageMetadata {
            current_page: number("current_page")?,
            total_pages: number("total_pages")?,
        })
    }

    fn record<T: DeserializeOwned>(&self, record: Value, at: &str) -> Result<T, PortalError> {
        serde_path_to_error::deserialize(record).map_err(|error| {
            let inner = error.path().to_string();
            let at = if inner == "." { at.to_owned() } else { format!("{at}.{inner}") };
            self.unreadable(&at, &error.inner().to_string())
        })
    }

    pub(super) fn unreadable(&self, at: &str, fault: &str) -> PortalError {
        PortalError::Unreadable {
            place: self.place.clone(),
            at: self.quoter.quote(at),
            fault: self.quoter.quote(fault),
        }
    }
}
