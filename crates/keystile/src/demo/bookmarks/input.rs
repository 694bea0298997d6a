//! What callers send to the sample API, read and checked.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap};
use http::{StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;
use super::shelf::Draft;

const BODY_BYTES_MAX: usize = 16 * 1024;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
const URL_CHARS_MAX: usize = 2000;
const TITLE_CHARS_MAX: usize = 200;
const LISTED: u32 = 20;
const LISTED_MAX: u32 = 100;

/// What PATCH may change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Change {
    pub(super) url: Option<String>,
    pub(super) title: Option<String>,
}

/// Where a listing begins, and how long it is.
pub(super) fn page(uri: &Uri) -> Result<(i64, u32), Problem> {
    let (mut after, mut limit) = (0, LISTED);
    for pair in uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let wrong = |form: String| Problem::bad(format!("The query's {name} must be {form}."));
        match name {
            "after" => {
                after = value.parse().map_err(|_| wrong("the number of a bookmark".to_owned()))?;
            }
            "limit" => {
                let within = value.parse().ok().filter(|limit| (1..=LISTED_MAX).contains(limit));
                limit = within.ok_or_else(|| wrong(format!("a number from 1 to {LISTED_MAX}")))?;
            }
            _ => return Err(Problem::bad("The query may have limit and after.")),
        }
    }
    Ok((after, limit))
}

/// Reads a JSON body.
pub(super) async fn read<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Incoming,
) -> Result<T, Problem> {
    let content_type =
        headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if !matches!(essence.as_str(), "application/json" | "application/merge-patch+json") {
        let detail = "Send JSON, with the field Content-Type: application/json.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
    }
    let collected =
        tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_BYTES_MAX).collect()).await;
    let bytes = match collected {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            let detail = format!("A bookmark has at most {BODY_BYTES_MAX} bytes.");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, detail));
        }
        Ok(Err(_)) => return Err(Problem::bad("The body broke off.")),
        Err(_) => {
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "The body took too long."));
        }
    };
    serde_json::from_slice(&bytes)
        .map_err(|error| Problem::bad(format!("The body is no bookmark: {error}.")))
}

/// A draft whose fields hold what they should.
pub(super) fn checked(draft: Draft) -> Result<Draft, Problem> {
    Ok(Draft { url: checked_url(draft.url)?, title: checked_title(draft.title)? })
}

/// An address on the web.
pub(super) fn checked_url(url: String) -> Result<String, Problem> {
    let is_web = url.parse::<Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.host().is_some_and(|host| !host.is_empty())
    });
    if is_web && url.chars().count() <= URL_CHARS_MAX {
        return Ok(url);
    }
    Err(Problem::bad(format!(
        "The url must begin with http:// or https:// and have at most {URL_CHARS_MAX} characters."
    )))
}

/// A text of one line that says something.
pub(super) fn checked_title(title: String) -> Result<String, Problem> {
    let is_text = !title.trim().is_empty() && !title.chars().any(char::is_control);
    if is_text && title.chars().count() <= TITLE_CHARS_MAX {
        return Ok(title);
    }
    let detail = format!(
        "The title must have 1 to {TITLE_CHARS_MAX} characters, none of them a control character."
    );
    Err(Problem::bad(detail))
}
