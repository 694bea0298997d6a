//! Lists as the API answers them.

use serde::Serialize;
use utoipa::ToSchema;

/// Some items of a list.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Listed<T> {
    /// The items of this page.
    pub(super) items: Vec<T>,
    /// What to send as `cursor` for the next page; null where this is the last.
    #[schema(required)]
    pub(super) next: Option<String>,
}

impl<T> Listed<T> {
    /// A list that always comes as a whole.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A page, out of one item more than it has where there is a next one.
    pub(super) fn page(mut items: Vec<T>, limit: u32, cursor: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let has_more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| has_more).map(cursor);
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_with_more_behind_it_has_a_next() {
        let page = |count: u32| Listed::page((0..count).collect(), 3, u32::to_string);
        assert_eq!((page(4).items, page(4).next), (vec![0, 1, 2], Some("2".to_owned())));
        assert_eq!((page(3).items, page(3).next), (vec![0, 1, 2], None));
        assert_eq!((page(0).items, page(0).next), (vec![], None));
    }
}
