//! Pages of a list, as the portal cuts them.

use serde_json::{Value, json};

use crate::request::ApiRequest;

/// The largest page, and the one that is given when a page's size is left out or makes no sense.
const PER_PAGE_MAX: usize = 500;

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paging {
    page: usize,
    per_page: usize,
}

impl Paging {
    /// As the parameters say it; what is out of range is the first page, or the largest size.
    pub(crate) fn of(request: &ApiRequest) -> Self {
        let number = |name| request.param(name).and_then(|text| text.parse::<usize>().ok());
        let page = number("page").filter(|page| *page >= 1).unwrap_or(1);
        let per_page = number("per_page").filter(|size| (1..=PER_PAGE_MAX).contains(size));
        Self { page, per_page: per_page.unwrap_or(PER_PAGE_MAX) }
    }

    /// The page of a list under its name, with how many there are where it is not all of it.
    pub(crate) fn cut(self, name: &str, items: Vec<Value>) -> Value {
        let total = items.len();
        let before = self.page.saturating_sub(1).saturating_mul(self.per_page);
        let items = items.into_iter().skip(before).take(self.per_page).collect::<Vec<_>>();
        if self.per_page >= total {
            return json!({ name: items });
        }
        json!({
            name: items,
            "metadata": {
                "per_page": self.per_page,
                "total_entries": total,
                "total_pages": total.div_ceil(self.per_page),
                "current_page": self.page,
            },
        })
    }
}
