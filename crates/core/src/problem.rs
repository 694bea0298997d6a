//! Problem documents (RFC 9457): what the caller of a refused request gets, as data.
//!
//! A door renders a [`Problem`] in its own protocol. Status, texts and fields stand here and in
//! [`crate::refusal`], so no door chooses a status code of its own.

use std::borrow::Cow;

use smallvec::SmallVec;

use crate::journal::RecordId;
use crate::keys::lock::{LockLevel, LockTarget};
use crate::refusal::{LockNotice, Reason, Refusal};

mod page;

pub use page::{PROBLEM_PAGES, Page, page};

/// The methods that a caller whose method is refused is told of.
const ALLOWED_METHODS: &str = "GET, HEAD, OPTIONS, QUERY, POST, PUT, PATCH, DELETE";

/// A header field of an answer, its name in lower case.
pub type AnswerField = (&'static str, Cow<'static, str>);

/// The field that names a write's record, so that caller and owner can speak of it.
pub const WRITE_FIELD: &str = "keystile-write";

/// What is said to the caller of one refused request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The stable reason, which stands in the document and is the last part of its type.
    pub reason: Reason,
    /// The problem's type: the URI of the page that explains it.
    pub type_uri: String,
    /// What exactly is wrong with this request.
    pub detail: Cow<'static, str>,
    /// Whole seconds after which trying again can succeed.
    pub retry_after_secs: Option<u64>,
    /// Present when a lock refused it.
    pub lock: Option<LockNotice>,
    /// The write that is on record, and may have been sent.
    pub unknown_write: Option<RecordId>,
}

impl Problem {
    /// The problem of a refusal. `base` is scheme and authority that the request was sent to, for
    /// absolute links; it may be empty.
    pub fn new(refusal: Refusal, base: &str) -> Self {
        let Refusal { reason, detail, retry_after_secs, lock } = refusal;
        let of_lock = lock.and_then(said_of);
        let usual = || detail.unwrap_or(Cow::Borrowed(reason.caller_text()));
        let detail = of_lock.map_or_else(usual, Cow::Borrowed);
        let type_uri = format!("{base}{PROBLEM_PAGES}{reason}");
        Self { reason, type_uri, detail, retry_after_secs, lock, unknown_write: None }
    }

    /// Names the write whose outcome is not known, where there is one.
    #[must_use]
    pub fn of_unknown_write(self, write: Option<RecordId>) -> Self {
        Self { unknown_write: write, ..self }
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.reason.status()
    }

    /// The title, the same for every occurrence.
    pub fn title(&self) -> &'static str {
        self.reason.title()
    }

    /// The document, as `application/problem+json`.
    pub fn document(&self) -> String {
        let mut document = serde_json::json!({
            "type": self.type_uri,
            "title": self.title(),
            "status": self.status(),
            "detail": self.detail,
            "reason": self.reason.name(),
        });
        if let Some(seconds) = self.retry_after_secs {
            document["retry_after"] = seconds.into();
        }
        if let Some(lock) = self.lock {
            document["level"] = lock.level.to_string().into();
            document["unlock"] = match lock.until {
                Some(until) => format!("It opens by itself at {until}."),
                None => "The owner of the API unlocks it; ask them.".to_owned(),
            }
            .into();
        }
        if let Some(id) = self.unknown_write {
            document["write"] = id.to_string().into();
        }
        document.to_string()
    }

    /// The header fields of its answer, in order. What concerns the connection is the door's to add.
    pub fn fields(&self) -> SmallVec<[AnswerField; 6]> {
        let mut fields: SmallVec<[AnswerField; 6]> = SmallVec::new();
        fields.push(("content-type", "application/problem+json".into()));
        fields.push(("cache-control", "no-store".into()));
        if let Some(seconds) = self.retry_after_secs {
            fields.push(("retry-after", seconds.to_string().into()));
        }
        match self.reason {
            Reason::KeyMissing | Reason::KeyUnknown => {
                fields.push(("www-authenticate", "Bearer realm=\"API key\"".into()));
            }
            Reason::MethodNotAllowed => fields.push(("allow", ALLOWED_METHODS.into())),
            _ => {}
        }
        if let Some(id) = self.unknown_write {
            fields.push(("keystile-outcome", "unknown".into()));
            fields.push((WRITE_FIELD, id.to_string().into()));
        }
        fields
    }
}

/// What the caller is told of a lock, where the reason's own text would say too little.
fn said_of(lock: LockNotice) -> Option<&'static str> {
    match (lock.level, lock.on) {
        (LockLevel::Writes, LockTarget::Key) => {
            Some("This API key is locked for writes. Reads still work.")
        }
        (LockLevel::Writes, LockTarget::Application) => {
            Some("All keys of this application are locked for writes. Reads still work.")
        }
        (LockLevel::All, LockTarget::Application) => {
            Some("All keys of this application are locked.")
        }
        (LockLevel::All, LockTarget::Key) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    #[test]
    fn every_problem_type_has_a_page() {
        for reason in Reason::ALL {
            let problem = Problem::new((*reason).into(), "http://a");
            let path = problem.type_uri.strip_prefix("http://a").unwrap();
            assert!(page(path).unwrap().html.contains(reason.title()), "{reason}");
            let document: serde_json::Value = serde_json::from_str(&problem.document()).unwrap();
            assert_eq!(document["type"], problem.type_uri);
            assert_eq!(document["status"], reason.status());
        }
        assert!(page(&format!("{PROBLEM_PAGES}no_such_reason")).is_none());
        assert!(page(PROBLEM_PAGES).is_some());
    }

    #[test]
    fn a_lock_on_writes_says_that_reads_go_on_and_when_it_opens() {
        let (level, until) = (LockLevel::Writes, Some(Timestamp(61_000)));
        let lock = LockNotice { level, until, on: LockTarget::Key };
        let refusal = crate::decision::locked(lock, Timestamp(1_000));
        let problem = Problem::new(refusal, "").of_unknown_write(Some(RecordId(7)));
        let document: serde_json::Value = serde_json::from_str(&problem.document()).unwrap();
        assert_eq!(document["detail"], "This API key is locked for writes. Reads still work.");
        assert_eq!(document["level"], "writes");
        assert_eq!(document["retry_after"], 60);
        assert_eq!(document["write"], "write_7");
        let shared = LockNotice { on: LockTarget::Application, ..lock };
        let shared = Problem::new(crate::decision::locked(shared, Timestamp(1_000)), "");
        assert!(shared.detail.contains("All keys of this application are locked for writes."));
        let names: Vec<_> = problem.fields().iter().map(|(name, _)| *name).collect();
        let expected =
            ["content-type", "cache-control", "retry-after", "keystile-outcome", WRITE_FIELD];
        assert_eq!(names, expected);
    }
}
