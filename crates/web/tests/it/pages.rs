//! The routes of the console: what a stranger reaches, and that all else wants a sign-in.

use std::collections::BTreeSet;

use http::Method;
use keystile_core::owners::scope::Scope;

use crate::test_console::TestConsole;

/// What anybody may ask who reaches the address: each with why.
const PUBLIC: &[(&str, &str)] = &[
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
    // The style sheet, the script and the icon of the page for signing in.
    ("GET", "/assets/{name}"),
    // What browsers run for devices that owners are told on; it holds no secret.
    ("GET", "/service-worker.js"),
    // What a message links to: the token in the address is the proof.
    ("GET", "/action/{token}"),
    ("POST", "/action/{token}"),
    ("GET", "/stop/{token}"),
    ("POST", "/stop/{token}"),
    // What another system posts to: the secret in the address is the proof.
    ("POST", "/hooks/keys/{secret}"),
    // Says that there is nothing.
    ("ANY", "/api/"),
    // The ways in.
    ("GET", "/sign-in"),
    ("POST", "/sign-in"),
    ("POST", "/sign-in/passkey/begin"),
    ("POST", "/sign-in/passkey"),
    ("POST", "/recover"),
    ("GET", "/claim/{secret}"),
    ("POST", "/claim/{secret}"),
    ("POST", "/claim/{secret}/passkey/begin"),
    ("POST", "/claim/{secret}/passkey"),
    // The way out.
    ("POST", "/sign-out"),
];

/// A route of the router's text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Route {
    pub(crate) method: String,
    pub(crate) path: String,
}

/// Every `.route(PATH, METHODS)` of a text. A route that is written in another way ends the test.
pub(crate) fn routes(text: &str, prefix: &str) -> Vec<Route> {
    let mut found = Vec::new();
    for rest in text.split(".route(").skip(1) {
        let (path, rest) =
            rest.trim_start().strip_prefix('"').and_then(|rest| rest.split_once('"')).unwrap();
        let mut depth = 1;
        let end = rest.find(|c| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        let methods = &rest[..end.unwrap()];
        let before = found.len();
        for method in ["get", "post", "put", "patch", "delete", "any"] {
            let call = format!("{method}(");
            let places = methods.match_indices(&call);
            let count = places.filter(|(at, _)| methods[..*at].ends_with([' ', '.', '\n'])).count();
            let route = Route { method: method.to_uppercase(), path: format!("{prefix}{path}") };
            found.extend(std::iter::repeat_n(route, count));
        }
        let calls = methods.matches('(').count();
        assert_eq!(found.len() - before, calls, "{path} is served by known methods");
    }
    found
}

/// A path with a name in the place of each parameter.
pub(crate) fn filled(path: &str) -> String {
    let fill = |segment| if str::starts_with(segment, '{') { "x1" } else { segment };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

/// Everything but `/api/v1`, whose list is its description.
fn all() -> Vec<Route> {
    let text = include_str!("../../src/router.rs");
    let mut found = routes(text, "");
    found.extend(routes(include_str!("../../src/api/mod.rs"), "/api"));
    assert_eq!(text.matches(".nest(").count(), 1, "only the admin API is nested");
    assert_eq!(text.matches(".merge(").count(), 1, "routes stand on one page");
    assert!(found.len() > 60, "the router shows its routes");
    found
}

#[tokio::test]
async fn every_page_wants_a_sign_in() {
    let console = TestConsole::new();
    let before = console.events().await;
    let public: BTreeSet<_> = PUBLIC
        .iter()
        .map(|(method, path)| Route { method: (*method).to_owned(), path: (*path).to_owned() })
        .collect();
    let all = all();
    let known: BTreeSet<_> = all.iter().cloned().collect();
    assert!(public.is_subset(&known), "{:?}", public.difference(&known).collect::<Vec<_>>());
    for Route { method, path } in known.difference(&public) {
        let ask = console.ask(method.parse().unwrap(), &filled(path));
        let told = ask.header("content-type", "application/x-www-form-urlencoded").send().await;
        if path == "/api/openapi.json" {
            told.problem(401);
            continue;
        }
        assert_eq!(told.status, 303, "{method} {path}: {told:?}");
        assert!(told.header("location").starts_with("/sign-in"), "{method} {path}: {told:?}");
    }
    assert_eq!(console.events().await, before, "nothing was done");
}

#[tokio::test]
async fn a_token_opens_no_page() {
    let console = TestConsole::new();
    let token = console.token(Scope::Admin).await;
    let told = console.get("/keys").token(&token).send().await;
    assert_eq!((told.status.as_u16(), told.header("location")), (303, "/sign-in?next=%2Fkeys"));
}

#[tokio::test]
async fn every_answer_has_the_headers_that_keep_it_where_it_is() {
    let console = TestConsole::new();
    for path in ["/", "/sign-in", "/api/v1/keys", "/api/nowhere", "/nowhere"] {
        let told = console.get(path).send().await;
        assert!(told.header("content-security-policy").starts_with("default-src 'none'"), "{path}");
        assert_eq!(told.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(told.header("x-frame-options"), "DENY", "{path}");
        assert_eq!(told.header("cache-control"), "no-store", "{path}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_can_do_nothing() {
    let console = TestConsole::new();
    let (cookie, token) = (console.cookie("Ada").await, console.token(Scope::Admin).await);
    let before = console.events().await;
    let asks = || {
        [console.post("/api/v1/owners/links"), console.ask(Method::DELETE, "/api/v1/owners/Ada")]
            .into_iter()
            .map(|ask| ask.text("{}"))
    };
    for site in ["cross-site", "same-site", "none"] {
        for ask in asks() {
            let told = ask.header("cookie", &cookie).header("sec-fetch-site", site).send().await;
            assert_eq!(told.problem(403)["type"], "urn:keystile:problem:foreign");
        }
        for ask in asks() {
            // A page that was told a token: no browser adds it by itself, and no page of ours is it.
            ask.token(&token).header("sec-fetch-site", site).send().await.problem(403);
        }
    }
    for ask in asks() {
        ask.header("cookie", &cookie).send().await.problem(403);
    }
    for ask in asks() {
        let ask = ask.header("cookie", &cookie).header("origin", "https://evil.example");
        ask.send().await.problem(403);
    }
    let rebound = console.get("/api/v1/keys").cookie(&cookie).header("host", "evil.example");
    rebound.send().await.problem(403);
    assert_eq!(console.events().await, before);
}
