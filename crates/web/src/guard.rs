//! What stands in front of every route: which Host, which origin, and which headers every answer has.
//!
//! # What this protects
//!
//! - DNS rebinding: a page of another name that resolves to the console is refused by its Host.
//! - Cross-site requests: anything but a read must come from a page of the console itself, by
//!   Sec-Fetch-Site or, in older browsers, by Origin. A request with neither is no browser's; it may act
//!   with a token, which no browser sends by itself, but not with a cookie.
//! - Framing, sniffing, foreign scripts: the headers below.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HOST, HeaderName,
    HeaderValue, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderMap, Method, StatusCode};
use keystile_engine::Engine;
use keystile_engine::command::Failure;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::api::problem::{Kind, Problem};
use crate::{Web, WebSettings};

/// How long the server took for an answer, for whoever looks why a page is slow.
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const CROSS_ORIGIN_OPENER_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-opener-policy");
const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName =
    HeaderName::from_static("cross-origin-resource-policy");

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; manifest-src 'self'; worker-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

/// How long a browser goes to the console by HTTPS only (RFC 6797); not so its subdomains, which are not ours.
const ONE_YEAR: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Refuses what no page of the console sends, and adds the headers that every answer has.
pub(crate) async fn stand_guard(
    State(web): State<Arc<Web>>,
    mut request: Request,
    next: Next,
) -> Response {
    // HTTP/2 has the host in the target; from here on it is where HTTP/1 has it.
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
        && !request.headers().contains_key(HOST)
    {
        request.headers_mut().insert(HOST, host);
    }
    let refused = refusal(&web.settings, request.method(), request.headers());
    let stays_https = stays_https(&web.settings, request.headers());
    let path = request.uri().path();
    let is_api = path == "/api" || path.starts_with("/api/");
    let began = Instant::now();
    let headers = request.headers().clone();
    let mut response = match refused {
        Some(why) if is_api => Problem::new(Kind::Foreign, why).into_response(),
        Some(why) => (StatusCode::FORBIDDEN, format!("{why}\n")).into_response(),
        None => {
            let engine = web.engine.clone();
            let answer = async move {
                let response = next.run(request).await;
                if is_api { response } else { with_page(&web, &headers, response).await }
            };
            in_time(&engine, is_api, answer).await
        }
    };
    harden(response.headers_mut());
    if stays_https {
        response.headers_mut().insert(STRICT_TRANSPORT_SECURITY, ONE_YEAR);
    }
    let took = format!("page;dur={:.1}", began.elapsed().as_secs_f64() * 1e3);
    if let Ok(took) = HeaderValue::from_str(&took) {
        response.headers_mut().insert(SERVER_TIMING, took);
    }
    response
}

/// Bodies of refusals that are shown on a page: sentences of ours and of the framework.
const SAID_BYTES_MAX: usize = 4 * 1024;

/// Puts a page in the place of a refusal that has none: nobody is left with an empty window. What scripts
/// ask for is JSON and stays so.
async fn with_page(web: &Web, headers: &HeaderMap, response: Response) -> Response {
    let kind = response.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_bare = kind.is_none_or(|kind| kind.starts_with(b"text/plain"));
    if !is_bare || !(response.status().is_client_error() || response.status().is_server_error()) {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let said = axum::body::to_bytes(body, SAID_BYTES_MAX).await.unwrap_or_default();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    let page = crate::page::no_page(web, headers, parts.status, said).await;
    parts.headers.remove(CONTENT_LENGTH);
    let (page_parts, body) = page.into_parts();
    parts.headers.extend(page_parts.headers);
    Response::from_parts(parts, body)
}

/// Runs a handler in a task of its own, and gives up on it when its disk does not answer.
async fn in_time(
    engine: &Engine,
    is_api: bool,
    answer: impl Future<Output = Response> + Send + 'static,
) -> Response {
    // Dropped with its set, so that what nobody waits for ends as it would without a task.
    let mut handler = JoinSet::new();
    handler.spawn(answer);
    match engine.store().unless_hung(handler.join_next()).await {
        Ok(Some(Ok(response))) => response,
        Ok(Some(Err(error))) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Ok(Some(Err(_)) | None) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Err(error) if is_api => Problem::from(Failure::from(error)).into_response(),
        Err(error) => {
            (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", Failure::from(error))).into_response()
        }
    }
}

fn harden(headers: &mut HeaderMap) {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_OPENER_POLICY, "same-origin"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Pages that load others' scripts have a policy of their own.
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(POLICY));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

fn refusal(settings: &WebSettings, method: &Method, headers: &HeaderMap) -> Option<&'static str> {
    let Some(host) = host(headers) else {
        return Some("Say which host you want.");
    };
    if !is_ours(settings, &host) {
        return Some(
            "The console does not go by this name. Set [console] url if it should: see the guide.",
        );
    }
    let is_read = matches!(*method, Method::GET | Method::HEAD);
    if is_read || comes_from_us(headers, &host) {
        return None;
    }
    Some("This request does not come from a page of the console, so nothing was done.")
}

/// Whether a browser shall reach the console by HTTPS only from now on. Not where it is called `localhost`:
/// that would hold for every other server on the owner's machine as well.
fn stays_https(settings: &WebSettings, headers: &HeaderMap) -> bool {
    let Some(host) = host(headers).filter(|_| settings.is_secure) else {
        return false;
    };
    let name = host.host().trim_end_matches('.').to_ascii_lowercase();
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    !is_address && name != "localhost" && !name.ends_with(".localhost")
}

/// The one Host of a request.
pub(crate) fn host(headers: &HeaderMap) -> Option<Authority> {
    let mut hosts = headers.get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    let text = host.to_str().ok()?;
    // Also to browsers, `evil@localhost` is a user at this machine.
    keystile_core::request::grammar::host_of(text).ok()?;
    text.parse().ok()
}

fn is_ours(settings: &WebSettings, host: &Authority) -> bool {
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    if let Some(url) = &settings.url {
        let known = url.parse::<http::Uri>().ok().and_then(|uri| uri.authority().cloned());
        if known.is_some_and(|known| known.host().eq_ignore_ascii_case(name)) {
            return true;
        }
    }
    match name.parse::<IpAddr>() {
        // A page of another site has a name; only rebinding makes that name an address of ours, and
        // then Host still has the name.
        Ok(_) => true,
        Err(_) if settings.listen.ip().is_loopback() && name.eq_ignore_ascii_case("localhost") => {
            true
        }
        Err(_) => {
            settings.url.is_none() && !settings.listen.ip().is_loopback() && settings.is_secure
        }
    }
}

/// Whether a page of the console sent it, or no browser at all.
fn comes_from_us(headers: &HeaderMap, host: &Authority) -> bool {
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    match headers.get(ORIGIN).map(|origin| origin.to_str()) {
        Some(Ok(origin)) => {
            let authority = origin.split_once("://").map(|(_, authority)| authority);
            authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
        }
        Some(Err(_)) => false,
        None => !headers.contains_key(COOKIE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Access;

    fn settings(url: Option<&str>) -> WebSettings {
        WebSettings {
            url: url.map(str::to_owned),
            listen: "127.0.0.1:7080".parse().unwrap(),
            is_secure: false,
            behind_proxy: false,
            health: Access::Open,
            metrics: Access::Open,
            file: None,
            push_key: String::new(),
        }
    }

    fn ask(url: Option<&str>, method: &Method, fields: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, value.parse().unwrap());
        }
        refusal(&settings(url), method, &headers).is_none()
    }

    #[test]
    fn a_name_that_was_made_to_resolve_to_the_console_is_refused() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil.example:7080",
            "",
            "evil@localhost",
            "evil:pass@localhost:7080",
            "@127.0.0.1",
            "evil.example@[::1]:7080",
            "localhost:",
            "localhost:70800",
            "localhost:+80",
            "localhost:7080:7080",
            "localhost/",
            "localhost?",
            "local%68ost",
            "[localhost]",
            "[127.0.0.1]",
            "[::1",
            "[::1]x",
            ":7080",
        ] {
            assert!(!ask(None, &Method::GET, &[("host", host)]), "{host}");
        }
        for host in ["localhost:7080", "LOCALHOST", "127.0.0.1:7080", "[::1]:7080"] {
            assert!(ask(None, &Method::GET, &[("host", host)]), "{host}");
        }
        let url = Some("https://console.example.org");
        assert!(ask(url, &Method::GET, &[("host", "console.example.org")]));
        assert!(!ask(url, &Method::GET, &[("host", "other.example.org")]));
        assert!(!ask(None, &Method::GET, &[("host", "localhost"), ("host", "localhost")]));
    }

    #[test]
    fn browsers_are_kept_to_https_where_the_console_has_it_and_a_name_of_its_own() {
        let kept = |is_secure: bool, host: &str| {
            let mut headers = HeaderMap::new();
            headers.append(HOST, host.parse().unwrap());
            stays_https(&WebSettings { is_secure, ..settings(None) }, &headers)
        };
        assert!(kept(true, "console.example.org") && kept(true, "console.example.org:7080"));
        assert!(!kept(false, "console.example.org"), "RFC 6797, section 7.2");
        for host in ["localhost:7080", "LOCALHOST.", "a.localhost", "127.0.0.1:1", "[::1]:7080"] {
            assert!(!kept(true, host), "{host}");
        }
    }

    #[test]
    fn only_a_page_of_the_console_or_no_browser_may_act() {
        let host = ("host", "localhost:7080");
        let acts =
            |fields: &[(&'static str, &str)]| ask(None, &Method::POST, &[&[host], fields].concat());
        assert!(acts(&[("sec-fetch-site", "same-origin")]));
        for site in ["cross-site", "same-site", "none", "nonsense"] {
            assert!(!acts(&[("sec-fetch-site", site)]), "{site}");
        }
        assert!(acts(&[("origin", "http://localhost:7080")]));
        for origin in
            ["http://localhost:7081", "http://evil.example", "null", "http://127.0.0.1:7080"]
        {
            assert!(!acts(&[("origin", origin)]), "{origin}");
        }
        assert!(acts(&[]), "a program with a token");
        assert!(!acts(&[("cookie", "a=b")]), "a cookie that came with neither");
    }
}
