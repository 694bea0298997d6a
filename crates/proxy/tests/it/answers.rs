//! What a caller reads of its budgets and its refusals.

use keystile_core::refusal::Reason;

use crate::harness::{Answer, TestGate, Upstream, api, plan, settings};

/// An item of an IETF list: its name, and its integer parameters.
fn items(field: &str) -> Vec<(String, Vec<(String, u64)>)> {
    let item = |text: &str| {
        let mut parts = text.trim().split(';');
        let name = parts.next().unwrap();
        assert!(name.len() > 2 && name.starts_with('"') && name.ends_with('"'), "{field}");
        let parameter = |part: &str| {
            let (name, value) = part.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        (name.trim_matches('"').to_owned(), parts.map(parameter).collect())
    };
    field.split(',').map(item).collect()
}

fn standing(answer: &Answer) -> Vec<(String, u64)> {
    let items = items(answer.field("ratelimit").unwrap());
    items.into_iter().map(|(name, parameters)| (name, parameters[0].1)).collect()
}

#[tokio::test]
async fn answers_to_writes_tell_how_the_budgets_stand() {
    let upstream = Upstream::ok().await;
    let mut plan = plan("open", &["50 per day", "3 per 2 minutes"]);
    let mut deletes = plan.write_budgets[0].clone();
    deletes.quota = "10 per hour".parse().unwrap();
    deletes.on = vec!["notes: DELETE *".parse().unwrap()];
    plan.write_budgets.push(deletes);
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![plan], settings());
    let key = gate.key("open").await;
    let answer = gate.call("DELETE", "/x", &key, b"").await;
    let policies = items(answer.field("ratelimit-policy").unwrap());
    let expected =
        [("writes-day", 50, 86_400), ("writes-2-minutes", 3, 120), ("notes-delete-hour", 10, 3600)];
    for ((name, parameters), (wanted, quota, window)) in policies.iter().zip(expected) {
        assert_eq!(name, wanted);
        assert_eq!(*parameters, [("q".to_owned(), quota), ("w".to_owned(), window)]);
    }
    assert_eq!(policies.len(), 3);
    let left = |pairs: &[(&str, u64)]| {
        pairs.iter().map(|(name, left)| ((*name).to_owned(), *left)).collect::<Vec<_>>()
    };
    assert_eq!(
        standing(&answer),
        left(&[("writes-day", 49), ("writes-2-minutes", 2), ("notes-delete-hour", 9)])
    );
    let answer = gate.call("POST", "/x", &key, b"").await;
    assert_eq!(standing(&answer), left(&[("writes-day", 48), ("writes-2-minutes", 1)]));
    assert_eq!(gate.call("PUT", "/x", &key, b"").await.status, 200);
    let refused = gate.call("PUT", "/x", &key, b"").await;
    assert_eq!(refused.refusal(), (403, "key_locked".to_owned()));
    assert_eq!(
        standing(&refused),
        left(&[("writes-day", 47), ("writes-2-minutes", 0)]),
        "none is charged by a refusal"
    );
    assert_eq!(
        gate.call("GET", "/x", &key, b"").await.field("ratelimit"),
        None,
        "reads have no budget"
    );
}

#[tokio::test]
async fn a_rate_limit_refuses_for_a_moment_and_says_how_long() {
    let upstream = Upstream::ok().await;
    let mut plan = plan("open", &["50 per day"]);
    plan.rate_limits = vec!["4 per 2 seconds".parse().unwrap()];
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![plan], settings());
    let key = gate.key("open").await;
    for method in ["GET", "DELETE", "GET", "GET"] {
        assert_eq!(gate.call(method, "/x", &key, b"").await.status, 200);
    }
    let answer = gate.call("DELETE", "/x", &key, b"").await;
    assert_eq!(answer.refusal(), (429, "rate_limited".to_owned()));
    let wait: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    // A second for what is left of the slice that the first call fell into.
    assert!((1..=3).contains(&wait));
    assert_eq!(answer.problem()["retry_after"], wait);
    tokio::time::sleep(std::time::Duration::from_secs(wait)).await;
    assert_eq!(gate.call("DELETE", "/x", &key, b"").await.status, 200);
    assert_eq!(
        (gate.used(&key).await, gate.events(&key, "key_locked").await),
        (2, 0),
        "a rate limit never locks"
    );
}

/// The members that every problem has, and the page that its type names.
async fn explains_itself(gate: &TestGate, answer: &Answer) {
    let problem = answer.problem();
    assert_eq!(problem["status"], answer.status);
    let reason: Reason = problem["reason"].as_str().unwrap().parse().unwrap();
    assert_eq!((reason.status(), problem["title"].as_str()), (answer.status, Some(reason.title())));
    assert!(problem["detail"].as_str().unwrap().ends_with('.'));
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    let url = problem["type"].as_str().unwrap();
    let path = url.strip_prefix("http://api.test").unwrap_or_else(|| panic!("{url}"));
    let page = gate.call("GET", path, "", b"").await;
    assert_eq!(page.status, 200, "{url}");
    assert_eq!(page.field("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains(reason.title()) && page.text().contains(reason.name()));
    assert!(page.field("content-security-policy").unwrap().starts_with("default-src 'none'"));
}

#[tokio::test]
async fn every_refusal_is_a_problem_with_a_page_that_explains_it() {
    let upstream = Upstream::ok().await;
    let mut spec = api(&[upstream.origin()]);
    spec.body_bytes_max = Some(10);
    let mut dead = api(&[crate::harness::nobody().await]);
    dead.name = "dead".to_owned();
    dead.path = "/dead".to_owned();
    let mut narrow = plan("narrow", &["1 per day"]);
    narrow.allow = vec!["*: PUT *".parse().unwrap(), "*: GET *".parse().unwrap()];
    let gate = TestGate::open(vec![spec, dead], vec![narrow], settings());
    let key = gate.key("narrow").await;
    for (method, target, key, body, status) in [
        ("FOO", "/x", &*key, &b""[..], 405),
        ("PUT", "/a//b", &key, b"", 400),
        ("PUT", "/x", "", b"", 401),
        ("PUT", "/x", "nonsense", b"", 401),
        ("POST", "/x", &key, b"", 403),
        ("PUT", "/x", &key, b"more than ten bytes", 413),
        ("GET", "/dead", &key, b"", 502),
        ("PUT", "/dead", &key, b"", 502),
    ] {
        let answer = gate.call(method, target, key, body).await;
        assert_eq!(answer.status, status, "{method} {target}");
        explains_itself(&gate, &answer).await;
    }
    assert_eq!(gate.call("PUT", "/x", &key, b"").await.status, 200);
    explains_itself(&gate, &gate.call("PUT", "/x", &key, b"").await).await;
}

#[tokio::test]
async fn the_pages_are_there_without_a_key_and_only_for_reading() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let pages = "/.well-known/keystile/problems/";
    for reason in Reason::ALL {
        let page = gate.call("GET", &format!("{pages}{reason}"), "", b"").await;
        assert_eq!(page.status, 200, "{reason}");
        assert!(page.text().contains(reason.title()));
    }
    let list = gate.call("GET", pages, "", b"").await;
    assert!(Reason::ALL.iter().all(|reason| list.text().contains(reason.name())));
    assert!(gate.call("HEAD", &format!("{pages}key_locked"), "", b"").await.body.is_empty());
    assert_eq!(gate.call("POST", &format!("{pages}key_locked"), "", b"").await.status, 401);
    assert_eq!(gate.call("GET", &format!("{pages}no_such"), "", b"").await.status, 401);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn refusals_to_head_have_no_body() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let mut caller = gate.caller().await;
    for _ in 0..2 {
        let answer = caller.call("HEAD", "/x", "", b"").await;
        assert_eq!((answer.status, answer.body.len()), (401, 0));
    }
}
