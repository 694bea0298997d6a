//! Pages of a list, as the portal cuts them.

use serde_json::{Value, json};

use crate::backend::params::Params;

/// The largest page, and the one that is given where a size is left out or makes no sense.
const PER_PAGE_MAX: usize = 500;

/// Which page of a list is wanted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Paging {
    page: usize,
    per_page: usize,
}

impl Paging {
    /// As the parameters say it; what is out of range is the first page, or the largest size.
    pub(super) fn of(params: &Params<'_>) -> Self {
        let number = |name| params.text(name).and_then(|text| text.parse::<usize>().ok());
        let page = number("page").filter(|page| *page >= 1).unwrap_or(1);
        let per_page = number("per_page").filter(|size| (1..=PER_PAGE_MAX).contains(size));
        Self { page, per_page: per_page.unwrap_or(PER_PAGE_MAX) }
    }

    /// The page of a list under its name, with how many there are where it is not all of it. Only what stands on
    /// it is made.
    pub(super) fn cut<T>(self, name: &str, all: &[T], show: impl Fn(&T) -> Value) -> Value {
        let before = self.page.saturating_sub(1).saturating_mul(self.per_page);
        let shown: Vec<Value> = all.iter().skip(before).take(self.per_page).map(show).collect();
        let total = all.len();
        if self.per_page >= total {
            return json!({ name: shown });
        }
        json!({
            name: shown,
            "metadata": {
                "per_page": self.per_page,
                "total_entries": total,
                "total_pages": total.div_ceil(self.per_page),
                "current_page": self.page,
            },
        })
    }
}
