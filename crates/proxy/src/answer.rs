//! Answers that Keystile gives itself: refusals as problem details, and the pages that explain them.

use std::fmt::Write;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use keystile_core::journal::RecordId;
use keystile_core::lock::LockLevel;
use keystile_core::policy::Plan;
use keystile_core::refusal::{Reason, Refusal};
use keystile_store::BudgetStanding;

/// Where the explaining pages are, on every host that the gate answers.
pub(crate) const PROBLEM_PAGES: &str = "/.well-known/keystile/problems/";

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const KEYSTILE_OUTCOME: HeaderName = HeaderName::from_static("keystile-outcome");
const KEYSTILE_WRITE: HeaderName = HeaderName::from_static("keystile-write");

/// What is told along with a refusal.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RefusalContext<'a> {
    /// Scheme and authority that the request was sent to, for absolute links.
    pub(crate) base: &'a str,
    /// The write that has a record, though its outcome is not known.
    pub(crate) unknown: Option<RecordId>,
    /// Whether the connection ends with this answer.
    pub(crate) is_last: bool,
}

/// A refusal as RFC 9457 problem details.
pub(crate) fn refusal(refusal: &Refusal, occasion: RefusalContext<'_>) -> Response<Bytes> {
    let reason = refusal.reason;
    let mut problem = serde_json::json!({
        "type": format!("{}{PROBLEM_PAGES}{reason}", occasion.base),
        "title": reason.title(),
        "status": reason.status(),
        "detail": refusal.caller_text(),
        "reason": reason.name(),
    });
    let now_helps = refusal.retry_after_secs;
    if let Some(seconds) = now_helps {
        problem["retry_after"] = seconds.into();
    }
    if let Some(lock) = refusal.lock {
        problem["level"] = lock.level.to_string().into();
        problem["unlock"] = match lock.until {
            Some(until) => format!("It opens by itself at {until}."),
            None => "The owner of the API unlocks it; ask them.".to_owned(),
        }
        .into();
        if lock.level == LockLevel::Writes {
            problem["detail"] = "This API key is locked for writes. Reads still work.".into();
        }
    }
    if let Some(id) = occasion.unknown {
        problem["write"] = id.to_string().into();
    }
    let mut response = Response::new(Bytes::from(problem.to_string()));
    *response.status_mut() =
        StatusCode::from_u16(reason.status()).expect("reasons have valid statuses");
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(seconds) = now_helps {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    match reason {
        Reason::KeyMissing | Reason::KeyUnknown => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"API key\""));
        }
        Reason::MethodNotAllowed => {
            headers.insert(
                ALLOW,
                HeaderValue::from_static("GET, HEAD, OPTIONS, QUERY, POST, PUT, PATCH, DELETE"),
            );
        }
        _ => {}
    }
    if let Some(id) = occasion.unknown {
        headers.insert(KEYSTILE_OUTCOME, HeaderValue::from_static("unknown"));
        note_write(headers, id);
    }
    if occasion.is_last {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// A refusal as the bytes of an answer that ends its connection, where no HTTP machinery writes them.
pub(crate) fn as_bytes(refusal: &Refusal) -> Bytes {
    let answer =
        self::refusal(refusal, RefusalContext { is_last: true, ..RefusalContext::default() });
    let (head, body) = answer.into_parts();
    let mut bytes = format!("HTTP/1.1 {}\r\n", head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes.into()
}

/// Why the parser refused a head, where these bytes are just the answer that it gives by itself: a
/// status, the connection's end, no length and perhaps the date.
pub(crate) fn bare_refusal(bytes: &[u8]) -> Option<Reason> {
    const FIELDS: [&str; 3] = ["connection: close", "content-length: 0", "date: "];
    let head = std::str::from_utf8(bytes).ok()?.strip_suffix("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.strip_prefix("HTTP/1.1 ")?.get(..3)?;
    let is_bare = lines.all(|line| FIELDS.iter().any(|field| line.starts_with(field)));
    match status {
        "400" if is_bare => Some(Reason::FramingInvalid),
        "414" | "431" if is_bare => Some(Reason::HeadTooLarge),
        _ => None,
    }
}

/// Names a write's record, so that caller and owner can speak of it.
pub(crate) fn note_write(headers: &mut HeaderMap, id: RecordId) {
    if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
        headers.insert(KEYSTILE_WRITE, value);
    }
}

/// RateLimit and RateLimit-Policy fields (draft-ietf-httpapi-ratelimit-headers) for the budgets that
/// counted a call.
pub(crate) fn note_budgets(headers: &mut HeaderMap, plan: &Plan, standings: &[BudgetStanding]) {
    if standings.is_empty() {
        return;
    }
    let (mut policies, mut limits) = (String::new(), String::new());
    for standing in standings {
        let budget = &plan.budgets()[standing.place];
        let separator = if policies.is_empty() { "" } else { ", " };
        let _ = write!(
            policies,
            "{separator}\"{}\";q={};w={}",
            budget.name, budget.quota.amount, standing.window_secs
        );
        let _ = write!(
            limits,
            "{separator}\"{}\";r={};t={}",
            budget.name, standing.remaining, standing.reset_secs
        );
    }
    for (name, text) in [(RATE_LIMIT_POLICY, policies), (RATE_LIMIT, limits)] {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    }
}

/// The page that explains a refusal reason, or the list of all of them; `None` for no such page.
pub(crate) fn page(path: &str) -> Option<Response<Bytes>> {
    let name = path.strip_prefix(PROBLEM_PAGES)?;
    let html = if name.is_empty() {
        let items: String = Reason::ALL
            .iter()
            .map(|reason| {
                format!(
                    "<li><a href=\"{reason}\">{}</a> ({})</li>\n",
                    reason.title(),
                    reason.status()
                )
            })
            .collect();
        document("Refusals", &format!("<p>Why a call may be refused here:</p>\n<ul>\n{items}</ul>"))
    } else {
        let reason: Reason = name.parse().ok()?;
        let body = format!(
            "<p class=\"code\">{status} &middot; <code>{reason}</code></p>\n<p>{caller}</p>\n\
             <h2>If the API is yours</h2>\n<p>{owner}</p>\n<p><a href=\"./\">All reasons</a></p>",
            status = reason.status(),
            caller = marked_up(reason.caller_text()),
            owner = marked_up(reason.owner_text()),
        );
        document(reason.title(), &body)
    };
    let mut response = Response::new(Bytes::from(html));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(
        http::header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
    );
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(response)
}

/// The texts are ours and hold nothing of the request; only backquotes mean something.
fn marked_up(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    let mut parts = escaped.split('`');
    let mut html = parts.next().unwrap_or_default().to_owned();
    while let Some(code) = parts.next() {
        let _ = write!(html, "<code>{code}</code>{}", parts.next().unwrap_or_default());
    }
    html
}

fn document(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>{title}</title>\n\
         <style>:root{{color-scheme:light dark}}body{{font:1.05rem/1.6 system-ui,sans-serif;max-width:38rem;\
         margin:3rem auto;padding:0 1rem}}code{{font-size:.95em}}.code{{opacity:.75}}h2{{font-size:1.1rem;\
         margin-top:2rem}}</style>\n</head>\n<body>\n<h1>{title}</h1>\n{body}\n</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_type_has_a_page() {
        for reason in Reason::ALL {
            let answer = refusal(
                &Refusal::new(*reason),
                RefusalContext { base: "http://a", ..RefusalContext::default() },
            );
            let problem: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
            let path = problem["type"].as_str().unwrap().strip_prefix("http://a").unwrap();
            let page = page(path).unwrap();
            assert!(String::from_utf8_lossy(page.body()).contains(reason.title()), "{reason}");
        }
        assert!(page(&format!("{PROBLEM_PAGES}no_such_reason")).is_none());
        assert!(page(PROBLEM_PAGES).is_some());
    }
}
