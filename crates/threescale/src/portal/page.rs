//! Pages of a list.

use serde::de::DeserializeOwned;

use super::document::Document;
use super::error::PortalError;

/// Records of a page: the most that the portal gives.
pub const PER_PAGE: u32 = 500;

/// Which page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PageNumber(u32);

impl PageNumber {
    /// The page to begin with.
    pub const FIRST: Self = Self(1);

    /// The number as the portal counts, from 1.
    pub fn get(self) -> u32 {
        self.0
    }

    fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }
}

/// A page, and which comes after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its records, in the order of their numbers.
    pub records: Vec<T>,
    /// The next page; nothing after the last.
    pub next: Option<PageNumber>,
}

impl<T: DeserializeOwned> Page<T> {
    /// The page of an answer. Fails when it is not the page that was asked for, as from a portal that knows
    /// no pages and would give the first forever.
    pub(super) fn of(
        mut document: Document,
        number: PageNumber,
        list: &str,
        name: &str,
    ) -> Result<Self, PortalError> {
        let metadata = document.page_metadata();
        let records = document.many(list, name)?;
        let is_last = match metadata {
            Some(metadata) if metadata.current_page != u64::from(number.0) => {
                let fault =
                    format!("page {} was asked for, and it is {}", number.0, metadata.current_page);
                return Err(document.unreadable("metadata.current_page", &fault));
            }
            // It also tells where a portal gives smaller pages than it is asked for.
            Some(metadata) => records.is_empty() || u64::from(number.0) >= metadata.total_pages,
            None => u32::try_from(records.len()).is_ok_and(|count| count < PER_PAGE),
        };
        Ok(Self { records, next: if is_last { None } else { number.next() } })
    }
}
