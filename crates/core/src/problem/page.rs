//! The pages that explain refusals: what the type of each problem document leads to.

use std::fmt::Write;

use crate::refusal::Reason;

/// Where the explaining pages are, on every host that a door answers.
pub const PROBLEM_PAGES: &str = "/.well-known/keystile/problems/";

/// A page of Keystile's own; its status is 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The whole document.
    pub html: String,
}

impl Page {
    /// The header fields of its answer, in order.
    pub const FIELDS: [(&str, &str); 3] = [
        ("content-type", "text/html; charset=utf-8"),
        (
            "content-security-policy",
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
    ];
}

/// The page that explains a refusal reason, or the list of all of them; `None` for no such page.
pub fn page(path: &str) -> Option<Page> {
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
    Some(Page { html })
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
