//! An API that is only observed, and one that is not guarded at all.

use keystile_core::journal::Outcome;
use keystile_core::policy::api::{ApiSpec, Mode};
use keystile_core::refusal::Reason;

use crate::harness::{TestGate, Upstream, api, keyless, plan, settings};

fn gate(upstream: &Upstream, mode: Mode) -> TestGate {
    let mut api = api(&[upstream.origin()]);
    api.mode = mode;
    let mut plan = plan("open", &["2 per day"]);
    plan.allow = vec!["notes: PUT,GET *".parse().unwrap()];
    TestGate::open(vec![api], vec![plan], settings())
}

#[tokio::test]
async fn observing_refuses_nothing_and_says_what_it_would_have_refused() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, Mode::Observe);
    let (key, revoked) = (gate.key("open").await, gate.key("open").await);
    gate.revoke(&revoked).await;
    let expected = [
        ("PUT", &*key, None),
        ("PUT", &key, None),
        ("PUT", &key, Some(Reason::KeyLocked)),
        ("DELETE", &key, Some(Reason::OperationNotInPlan)),
        ("DELETE", "", Some(Reason::KeyMissing)),
        ("DELETE", "nonsense", Some(Reason::KeyUnknown)),
        ("PUT", &revoked, Some(Reason::KeyRevoked)),
    ];
    for (method, key, _) in expected {
        assert_eq!(gate.call(method, "/x", key, b"").await.status, 200);
        assert_eq!(gate.call("GET", "/x", key, b"").await.status, 200);
    }
    let (reads, writes): (Vec<_>, Vec<_>) =
        gate.records().await.into_iter().partition(|record| record.method == "GET");
    assert_eq!(
        writes.iter().map(|record| record.reason).collect::<Vec<_>>(),
        expected.map(|(_, _, reason)| reason)
    );
    assert!(
        writes
            .iter()
            .all(|record| (record.outcome, record.status) == (Outcome::Applied, Some(200)))
    );
    assert!(reads.iter().all(|record| record.reason.is_some()), "{reads:?}");
    assert_eq!(upstream.seen().len(), 14);
    assert_eq!(gate.events(&key, "key_locked").await, 0);
}

#[tokio::test]
async fn an_observed_call_reaches_the_api_as_it_came_whatever_the_policy_says() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.mode = Mode::Observe;
    api.body_bytes_max = Some(4);
    let gate = TestGate::open(vec![api], vec![plan("open", &["2 per day"])], settings());
    let (key, other) = (gate.key("open").await, gate.key("open").await);
    let unknown = format!("ks_{}", &key[3..].to_lowercase());
    for (target, fields, body, reason) in [
        ("/x;a=1", String::new(), "", Reason::PathInvalid),
        ("/x", "Content-Length: 9\r\n".to_owned(), "123456789", Reason::BodyTooLarge),
        ("/x", format!("X-API-Key: {unknown}\r\n"), "", Reason::KeyUnknown),
        ("/x", format!("Authorization: Bearer {unknown}\r\n"), "", Reason::KeyUnknown),
        (
            "/x",
            format!("X-API-Key: {key}\r\nAuthorization: Bearer {other}\r\n"),
            "",
            Reason::CredentialRepeated,
        ),
        ("/x", "X-API-Key: a\r\nX-API-Key: b\r\n".to_owned(), "", Reason::CredentialRepeated),
        ("/x", "Authorization: Bearer their-own\r\n".to_owned(), "", Reason::KeyMissing),
    ] {
        let text = format!("PUT {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n{body}");
        assert_eq!(gate.raw(text.as_bytes()).await.unwrap().status, 200, "{text}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!((&*seen.target, &*seen.body), (target, body.as_bytes()));
        for line in fields.split_terminator("\r\n") {
            let (name, value) = line.split_once(": ").unwrap();
            let is_there = |(known, there): &(String, String)| {
                known.eq_ignore_ascii_case(name) && there == value
            };
            assert!(seen.fields.iter().any(is_there), "{line}: {seen:?}");
        }
        assert_eq!(gate.records().await.pop().unwrap().reason, Some(reason), "{text}");
    }
    assert_eq!((gate.used(&key).await, gate.used(&other).await), (0, 0));
}

#[tokio::test]
async fn observing_still_refuses_what_cannot_be_forwarded_faithfully() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, Mode::Observe);
    for target in ["/a/../b", "/a%2fb", "//a"] {
        assert_eq!(gate.call("PUT", target, "", b"").await.status, 400);
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn an_api_that_is_off_passes_requests_without_key_or_journal() {
    let upstream = Upstream::ok().await;
    let gate = gate(&upstream, Mode::Off);
    let key = gate.key("open").await;
    for (method, key) in [("DELETE", &*key), ("DELETE", ""), ("POST", "nonsense"), ("GET", "")] {
        assert_eq!(gate.call(method, "/x", key, b"").await.status, 200);
    }
    assert!(gate.records().await.is_empty());
    assert_eq!(
        gate.call("PUT", "/a/../b", "", b"").await.status,
        400,
        "the grammar holds all the same"
    );
    let spoofed = b"DELETE /x HTTP/1.1\r\nHost: a\r\nX-Keystile-Plan: trusted\r\n\r\n";
    assert_eq!(gate.raw(spoofed).await.unwrap().status, 200);
    assert_eq!(upstream.seen().pop().unwrap().field("x-keystile-plan"), None);
}

/// An API on a path of its own.
fn below(name: &str, path: &str, mode: Mode, upstream: &Upstream) -> ApiSpec {
    ApiSpec { name: name.to_owned(), path: path.to_owned(), mode, ..api(&[upstream.origin()]) }
}

#[tokio::test]
async fn a_looser_api_is_not_reached_by_another_spelling() {
    let upstream = Upstream::ok().await;
    for mode in [Mode::Off, Mode::Observe, Mode::Enforce] {
        for root in [&[][..], &[below("root", "", Mode::Enforce, &upstream)]] {
            let mut apis = vec![below("loose", "/loose", mode, &upstream)];
            apis.extend_from_slice(root);
            let plans = vec![plan("open", &["9 per day"]), keyless("loose: *")];
            let gate = TestGate::open(apis, plans, settings());
            let key = gate.key("open").await;
            for target in ["/LOOSE/x", "/Loose", "/loosE/", "/loos%45/x"] {
                for key in ["", &*key] {
                    let answer = gate.call("POST", target, key, b"").await;
                    let refusal = answer.refusal();
                    assert_eq!(refusal, (400, "path_invalid".to_owned()), "{mode:?} {target}");
                }
            }
            assert!(upstream.seen().is_empty(), "{mode:?}");
            assert_eq!(gate.used(&key).await, 0);
        }
    }
    let gate = TestGate::open(
        vec![below("loose", "/loose", Mode::Off, &upstream)],
        vec![plan("open", &[])],
        settings(),
    );
    for target in ["/loose", "/loose/", "/loose/X", "/%6Coose/x"] {
        assert_eq!(gate.call("POST", target, "", b"").await.status, 200, "{target}");
    }
}
