//! What an answer of the portal means.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use serde_json::Value;
use url::Url;

use super::document::Document;
use super::error::{PortalError, TokenRefusal};
use super::place::Place;
use super::quote::{Quoted, Quoter};

/// A portal that asks for a longer pause is called again after a day.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// An answer, whole.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) place: Place,
    pub(super) quoter: Quoter,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    /// The document of an answer that has one. Fails when the portal refuses or answers something else.
    pub(super) fn accept(self) -> Result<Document, PortalError> {
        match self.status.as_u16() {
            200..=299 => self.document(),
            300..=399 => {
                let to = self.quoter.quote(&self.redirected_to());
                let status = self.status.as_u16();
                Err(PortalError::Redirected { place: self.place, status, to })
            }
            _ => Err(self.refusal()),
        }
    }

    fn document(self) -> Result<Document, PortalError> {
        if self.is_web_page() {
            let status = self.status.as_u16();
            return Err(PortalError::WebPage { place: self.place, status });
        }
        let essence = self.essence();
        if !(essence == "application/json" || essence.ends_with("+json")) {
            let fault = if essence.is_empty() {
                self.quoter.quote("it does not say what it is")
            } else {
                self.quoter.quote(&format!("it is {essence}"))
            };
            return Err(PortalError::NotJson { place: self.place, fault });
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(root) => Ok(Document { place: self.place, quoter: self.quoter, root }),
            Err(error) => {
                let fault = self.quoter.quote(&error.to_string());
                Err(PortalError::NotJson { place: self.place, fault })
            }
        }
    }

    fn refusal(self) -> PortalError {
        let (said, retry_after) = (self.said(), self.retry_after());
        let (status, is_web_page) = (self.status.as_u16(), self.is_web_page());
        let place = self.place;
        match status {
            401 | 403 => {
                let refusal = token_refusal(&place, status, &said);
                PortalError::Unauthorized { place, status, refusal, said }
            }
            404 if is_web_page => PortalError::WebPage { place, status },
            404 => PortalError::NotFound { place },
            422 => PortalError::InvalidTransition { place, said },
            429 => PortalError::RateLimited { place, retry_after },
            408 | 500.. => PortalError::ServerError { place, status, said, retry_after },
            _ => PortalError::Refused { place, status, said },
        }
    }

    /// The media type without its parameters, in lower case.
    fn essence(&self) -> String {
        let field = self.field(&CONTENT_TYPE).unwrap_or_default();
        field.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }

    fn is_web_page(&self) -> bool {
        matches!(self.essence().as_str(), "text/html" | "application/xhtml+xml")
    }

    fn field(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok().map(str::trim)
    }

    /// Where a redirect leads, without a query.
    fn redirected_to(&self) -> String {
        let to =
            self.field(&LOCATION).and_then(|to| Url::parse(self.place.url()).ok()?.join(to).ok());
        to.map_or_else(
            || "nowhere".to_owned(),
            |to: Url| format!("{}{}", to.origin().ascii_serialization(), to.path()),
        )
    }

    /// The portal's words of refusal: `error`, `status` or the `errors` of a record.
    fn said(&self) -> Quoted {
        if self.is_web_page() {
            return self.quoter.quote("a web page");
        }
        let text = match serde_json::from_slice::<Value>(&self.body) {
            Ok(document) => words(&document),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        self.quoter.quote(&text)
    }

    /// `Retry-After`, in seconds or as a date; the answer's own date is what it counts from.
    fn retry_after(&self) -> Option<Duration> {
        let field = self.field(&RETRY_AFTER)?;
        let pause = if let Ok(secs) = field.parse::<u64>() {
            Duration::from_secs(secs)
        } else {
            let until = jiff::fmt::rfc2822::parse(field).ok()?;
            let now = jiff::fmt::rfc2822::parse(self.field(&DATE)?).ok()?;
            until.duration_since(&now).try_into().unwrap_or_default()
        };
        Some(pause.min(RETRY_AFTER_MAX))
    }
}

fn words(document: &Value) -> String {
    if let Some(text) = ["error", "status"].iter().find_map(|name| document[name].as_str()) {
        return text.to_owned();
    }
    let Some(errors) = document["errors"].as_object() else {
        return document.to_string();
    };
    let of_each = errors.iter().map(|(name, said)| {
        let said = match said.as_array() {
            Some(said) => said.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
            None => said.as_str().unwrap_or_default().to_owned(),
        };
        format!("{name} {said}")
    });
    of_each.collect::<Vec<_>>().join("; ")
}

/// The portal has one status for all of these, and two sentences.
fn token_refusal(place: &Place, status: u16, said: &Quoted) -> TokenRefusal {
    let said = said.as_str();
    if said.contains("correct permissions") {
        if place.writes() { TokenRefusal::ReadOnly } else { TokenRefusal::Scope }
    } else if status == 401 || said == "Access denied" {
        TokenRefusal::Unknown
    } else {
        TokenRefusal::Denied
    }
}
