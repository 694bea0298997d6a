//! Keys: where they are read, what becomes of them, and what a wrong one is told.

use http::HeaderName;
use http::header::AUTHORIZATION;
use keystile_core::policy::api::Mode;
use keystile_core::request::credential::CredentialRule;

use crate::harness::{Answer, TestGate, Upstream, api, keyless, plan, settings};

async fn call_with(gate: &TestGate, target: &str, fields: &str) -> Answer {
    let text = format!("PUT {target} HTTP/1.1\r\nHost: api.test\r\n{fields}\r\n");
    gate.raw(text.as_bytes()).await.unwrap()
}

fn with_query(upstream: &Upstream) -> keystile_core::policy::api::ApiSpec {
    let mut api = api(&[upstream.origin()]);
    api.credential =
        CredentialRule { query_parameter: Some("api_key".into()), ..CredentialRule::default() };
    api
}

/// `user:` in base 64, by hand: the tests have no encoder of their own.
fn basic(user: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes = format!("{user}:");
    let digits = bytes.as_bytes().chunks(3).flat_map(|part| {
        let number = part.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte))
            << (8 * (3 - part.len()));
        (0..=part.len()).map(move |place| DIGITS[(number >> (18 - 6 * place) & 63) as usize])
    });
    String::from_utf8(digits.collect()).unwrap()
}

#[tokio::test]
async fn a_key_is_read_from_each_place_and_never_reaches_the_upstream() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::open(
        vec![with_query(&upstream)],
        vec![plan("open", &["100 per day"])],
        settings(),
    );
    let key = gate.key("open").await;
    for (target, fields) in [
        ("/x?a=1", format!("X-API-Key: {key}\r\n")),
        ("/x?a=1", format!("Authorization: Bearer {key}\r\n")),
        ("/x?a=1", format!("Authorization: Basic {}\r\n", basic(&key))),
        (&*format!("/x?a=1&api_key={key}"), String::new()),
        (&*format!("/x?api%5fkey={key}&a=1"), String::new()),
    ] {
        assert_eq!(call_with(&gate, target, &fields).await.status, 200, "{target} {fields}");
        let seen = upstream.seen().pop().unwrap();
        assert_eq!(seen.target, "/x?a=1");
        assert!(!format!("{seen:?}").contains(&key), "{seen:?}");
    }
    assert_eq!(gate.used(&key).await, 5);
    assert!(!format!("{:?}", gate.records().await).contains(&key));
}

#[tokio::test]
async fn a_key_in_the_query_counts_only_where_the_api_reads_it_there() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    let answer = call_with(&gate, &format!("/x?api_key={key}"), "").await;
    assert_eq!(answer.refusal(), (401, "key_missing".to_owned()));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_key_is_forwarded_where_the_api_asks_for_it() {
    let upstream = Upstream::ok().await;
    let mut api = with_query(&upstream);
    api.upstream.forward_credential = true;
    let gate = TestGate::open(vec![api], vec![plan("open", &[])], settings());
    let key = gate.key("open").await;
    assert_eq!(call_with(&gate, "/x", &format!("X-API-Key: {key}\r\n")).await.status, 200);
    assert_eq!(call_with(&gate, &format!("/x?api_key={key}"), "").await.status, 200);
    assert_eq!(upstream.seen()[0].field("x-api-key"), Some(&*key));
    assert_eq!(upstream.seen()[1].target, format!("/x?api_key={key}"));
}

#[tokio::test]
async fn a_key_given_twice_is_refused_and_charges_neither() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::open(
        vec![with_query(&upstream)],
        vec![plan("open", &["100 per day"])],
        settings(),
    );
    let (one, two) = (gate.key("open").await, gate.key("open").await);
    for (target, fields) in [
        ("/x".to_owned(), format!("X-API-Key: {one}\r\nAuthorization: Bearer {two}\r\n")),
        ("/x".to_owned(), format!("X-API-Key: {one}\r\nX-API-Key: {two}\r\n")),
        ("/x".to_owned(), format!("X-API-Key: {one}\r\nx-api-key: {one}\r\n")),
        (
            "/x".to_owned(),
            format!("Authorization: Bearer {one}\r\nAuthorization: Bearer {two}\r\n"),
        ),
        (format!("/x?api_key={two}"), format!("X-API-Key: {one}\r\n")),
        (format!("/x?api_key={one}&api%5Fkey={two}"), String::new()),
    ] {
        let answer = call_with(&gate, &target, &fields).await;
        assert_eq!(answer.refusal(), (400, "credential_repeated".to_owned()), "{target} {fields}");
    }
    assert_eq!((gate.used(&one).await, gate.used(&two).await), (0, 0));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn malformed_mistyped_and_unknown_keys_are_told_the_same() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let other = TestGate::simple(&upstream);
    let (key, unknown) = (gate.key("open").await, other.key("open").await);
    let mut mistyped = key.clone();
    mistyped.replace_range(10..11, if key.as_bytes()[10] == b'a' { "b" } else { "a" });
    let mut bodies = Vec::new();
    for text in [&*unknown, &mistyped, "nonsense", "ks_", &"x".repeat(3000), "\u{e9}"] {
        let answer = call_with(&gate, "/x", &format!("X-API-Key: {text}\r\n")).await;
        assert_eq!(answer.refusal(), (401, "key_unknown".to_owned()), "{text}");
        assert!(answer.field("www-authenticate").is_some());
        bodies.push((
            answer.body,
            answer.fields.into_iter().filter(|(name, _)| name != "date").collect::<Vec<_>>(),
        ));
    }
    assert!(bodies.windows(2).all(|pair| pair[0] == pair[1]));
    let missing = call_with(&gate, "/x", "").await;
    assert_eq!(missing.refusal(), (401, "key_missing".to_owned()));
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn revoked_keys_and_suspended_applications_are_refused_at_once() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let (revoked, suspended) = (gate.key("open").await, gate.key("open").await);
    gate.revoke(&revoked).await;
    assert_eq!(
        gate.call("GET", "/x", &revoked, b"").await.refusal(),
        (403, "key_revoked".to_owned())
    );
    assert_eq!(gate.call("GET", "/x", &suspended, b"").await.status, 200);
    gate.suspend("open").await;
    assert_eq!(
        gate.call("GET", "/x", &suspended, b"").await.refusal(),
        (403, "application_suspended".to_owned())
    );
    assert_eq!(upstream.seen().len(), 1);
}

#[tokio::test]
async fn guessing_keys_is_slowed_down_by_address_and_others_are_not() {
    let upstream = Upstream::ok().await;
    let mut settings = settings();
    settings.key_failures = "5 per minute".parse().unwrap();
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &[])], settings);
    let key = gate.key("open").await;
    for _ in 0..5 {
        assert_eq!(gate.call("GET", "/x", "guess", b"").await.status, 401);
    }
    let throttled = gate.call("GET", "/x", "guess", b"").await;
    assert_eq!(throttled.refusal(), (429, "rate_limited".to_owned()));
    assert!(throttled.field("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(
        gate.call("GET", "/x", &key, b"").await.status,
        200,
        "whoever has a key is not in its way"
    );
}

#[tokio::test]
async fn callers_without_a_key_are_counted_by_address() {
    let upstream = Upstream::ok().await;
    let mut visitor = keyless("notes: GET *");
    visitor.rate_limits = vec!["3 per minute".parse().unwrap()];
    let mut settings = settings();
    settings.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let gate =
        TestGate::open(vec![api(&[upstream.origin()])], vec![visitor, plan("open", &[])], settings);
    let from = async |address: &str| {
        let text = format!("GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: {address}\r\n\r\n");
        gate.raw(text.as_bytes()).await.unwrap()
    };
    for _ in 0..3 {
        assert_eq!(from("203.0.113.1").await.status, 200);
    }
    assert_eq!(from("203.0.113.1").await.refusal(), (429, "rate_limited".to_owned()));
    assert_eq!(from("203.0.113.2").await.status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!(seen.field("x-keystile-plan"), Some("visitor"));
    assert_eq!(seen.field("x-keystile-key"), None);
    assert_eq!(call_with(&gate, "/x", "").await.refusal(), (401, "key_missing".to_owned()));
}

#[tokio::test]
async fn a_keyless_write_budget_refuses_the_address_and_locks_nothing() {
    let upstream = Upstream::ok().await;
    let mut visitor = keyless("notes: *");
    visitor.write_budgets = plan("x", &["2 per hour"]).write_budgets;
    let gate = TestGate::open(vec![api(&[upstream.origin()])], vec![visitor], settings());
    for _ in 0..2 {
        assert_eq!(call_with(&gate, "/x", "").await.status, 200);
    }
    let answer = call_with(&gate, "/x", "").await;
    assert_eq!(answer.refusal(), (429, "budget_exhausted".to_owned()));
    assert!(answer.field("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    assert_eq!(upstream.seen().len(), 2);
    assert_eq!(gate.call("GET", "/x", "", b"").await.status, 200);
}

/// Where a key stands in a request.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ours {
    Nowhere,
    Header,
    Bearer,
    Basic,
    Query,
}

/// Where a credential that is none of ours stands.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Theirs {
    Nowhere,
    Bearer,
    Basic,
    ApiKeyHeader,
    ChosenHeader,
    Query,
}

/// An API that is guarded in one of the ways that there are.
#[derive(Clone, Copy, Debug)]
struct Guard {
    mode: Mode,
    has_keyless_plan: bool,
    /// Whether keys are read from `X-My-Key` and the query, where the owner said so.
    chooses: bool,
}

impl Guard {
    fn open(self, upstream: &Upstream) -> TestGate {
        let mut api = api(&[upstream.origin()]);
        api.mode = self.mode;
        if self.chooses {
            let header = HeaderName::from_static("x-my-key");
            api.credential = CredentialRule::default().in_header(header, "X-My-Key");
            api.credential.query_parameter = Some("api_key".into());
        }
        let mut plans = vec![plan("open", &["1000 per day"])];
        plans.extend(self.has_keyless_plan.then(|| keyless("notes: *")));
        TestGate::open(vec![api], plans, settings())
    }

    /// The request with these credentials; `None` where one place would hold both.
    fn request(self, ours: Ours, theirs: Theirs, key: &str) -> Option<(String, String)> {
        let header = if self.chooses { "X-My-Key" } else { "X-API-Key" };
        let is_same_field = match ours {
            Ours::Nowhere => false,
            Ours::Header if self.chooses => theirs == Theirs::ChosenHeader,
            Ours::Header => theirs == Theirs::ApiKeyHeader,
            Ours::Bearer | Ours::Basic => matches!(theirs, Theirs::Bearer | Theirs::Basic),
            Ours::Query => theirs == Theirs::Query,
        };
        let is_unread = ours == Ours::Query && !self.chooses;
        if is_same_field || is_unread {
            return None;
        }
        let fields = match ours {
            Ours::Nowhere | Ours::Query => String::new(),
            Ours::Header => format!("{header}: {key}\r\n"),
            Ours::Bearer => format!("Authorization: Bearer {key}\r\n"),
            Ours::Basic => format!("Authorization: Basic {}\r\n", basic(key)),
        };
        let (field, target) = match theirs {
            Theirs::Nowhere => ("", "/x?a=1"),
            Theirs::Bearer => ("Authorization: Bearer their.own-token\r\n", "/x?a=1"),
            Theirs::Basic => ("Authorization: Basic dXNlcjpwYXNz\r\n", "/x?a=1"),
            Theirs::ApiKeyHeader => ("X-API-Key: their-own\r\n", "/x?a=1"),
            Theirs::ChosenHeader => ("X-My-Key: their-own\r\n", "/x?a=1"),
            Theirs::Query => ("", "/x?a=1&api_key=their-own"),
        };
        let target = match ours {
            Ours::Query => format!("{target}&api_key={key}"),
            _ => target.to_owned(),
        };
        Some((target, fields + field))
    }

    /// What becomes of it: `None` where it passes, else the refusal.
    fn refusal(self, ours: Ours, theirs: Theirs) -> Option<(u16, &'static str)> {
        let is_chosen = self.chooses && matches!(theirs, Theirs::ChosenHeader | Theirs::Query);
        let is_default = !self.chooses && theirs == Theirs::ApiKeyHeader;
        match (ours == Ours::Nowhere, is_chosen) {
            _ if self.mode == Mode::Observe => None,
            (false, true) => Some((400, "credential_repeated")),
            (false, false) => None,
            (true, true) => Some((401, "key_unknown")),
            (true, false) if self.has_keyless_plan => None,
            (true, false) if is_default => Some((401, "key_unknown")),
            (true, false) => Some((401, "key_missing")),
        }
    }

    async fn holds(self) {
        let upstream = Upstream::ok().await;
        let gate = self.open(&upstream);
        let key = gate.key("open").await;
        let all_ours = [Ours::Nowhere, Ours::Header, Ours::Bearer, Ours::Basic, Ours::Query];
        let all_theirs = [
            Theirs::Nowhere,
            Theirs::Bearer,
            Theirs::Basic,
            Theirs::ApiKeyHeader,
            Theirs::ChosenHeader,
            Theirs::Query,
        ];
        for (ours, theirs) in
            all_ours.iter().flat_map(|ours| all_theirs.map(|theirs| (*ours, theirs)))
        {
            let Some((target, fields)) = self.request(ours, theirs, &key) else { continue };
            let reached = upstream.seen().len();
            let answer = call_with(&gate, &target, &fields).await;
            let case = format!("{self:?} {ours:?} {theirs:?}");
            if let Some((status, reason)) = self.refusal(ours, theirs) {
                assert_eq!(answer.refusal(), (status, reason.to_owned()), "{case}");
                assert_eq!(upstream.seen().len(), reached, "{case}");
                continue;
            }
            assert_eq!(answer.status, 200, "{case}: {answer:?}");
            let seen = upstream.seen().pop().unwrap();
            let is_chosen = self.chooses && matches!(theirs, Theirs::ChosenHeader | Theirs::Query);
            let passes_whole = ours == Ours::Nowhere || is_chosen;
            if !passes_whole {
                assert!(!format!("{seen:?}").contains(&key), "{case}: {seen:?}");
            }
            let is_whole = seen.target == target;
            let drops_query = ours == Ours::Query && !passes_whole;
            assert_eq!(is_whole, !drops_query, "{case}: {}", seen.target);
            for line in fields.split_terminator("\r\n") {
                let (name, value) = line.split_once(": ").unwrap();
                let is_ours = value.contains(&key) || value.contains(&basic(&key));
                let expected = (passes_whole || !is_ours).then_some(value);
                assert_eq!(seen.field(&name.to_ascii_lowercase()), expected, "{case}");
            }
        }
    }
}

#[tokio::test]
async fn the_api_gets_its_own_credentials_untouched_beside_a_key_and_without_one() {
    for mode in [Mode::Enforce, Mode::Observe] {
        for has_keyless_plan in [false, true] {
            for chooses in [false, true] {
                Guard { mode, has_keyless_plan, chooses }.holds().await;
            }
        }
    }
}

#[tokio::test]
async fn a_mistyped_key_is_told_so_and_never_passed_on_as_somebody_elses() {
    let upstream = Upstream::ok().await;
    let mut chosen = api(&[upstream.origin()]);
    chosen.credential = CredentialRule::default().in_header(AUTHORIZATION, "Authorization");
    for api in [api(&[upstream.origin()]), chosen] {
        let plans = vec![plan("open", &[]), keyless("notes: *")];
        let mut settings = settings();
        settings.key_failures = "100000 per minute".parse().unwrap();
        let gate = TestGate::open(vec![api], plans, settings);
        let key = gate.key("open").await;
        for at in 0..key.len() {
            let mut typo = key.clone();
            typo.replace_range(at..=at, if key.as_bytes()[at] == b'x' { "y" } else { "x" });
            for fields in [
                format!("Authorization: Bearer {typo}\r\n"),
                format!("Authorization: Basic {}\r\n", basic(&typo)),
            ] {
                let answer = call_with(&gate, "/x", &fields).await;
                assert_eq!(answer.refusal(), (401, "key_unknown".to_owned()), "{typo}");
            }
        }
        for fields in [
            format!("Authorization: Bearer {}\r\n", &key[..20]),
            format!("Authorization: Bearer {}\r\n", key.to_uppercase()),
            format!("Authorization: Bearer \"{key}\"\r\n"),
            format!("Authorization: Digest username=\"{key}\"\r\n"),
            format!("Authorization: Bearer their-own, Bearer {key}\r\n"),
        ] {
            let answer = call_with(&gate, "/x", &fields).await;
            assert_eq!(answer.refusal(), (401, "key_unknown".to_owned()), "{fields}");
        }
    }
    assert!(upstream.seen().is_empty(), "{:?}", upstream.seen());
}

#[tokio::test]
async fn a_key_is_taken_in_the_forms_that_clients_mistake_for_the_right_one() {
    let upstream = Upstream::ok().await;
    let gate = TestGate::simple(&upstream);
    let key = gate.key("open").await;
    for value in [key.clone(), format!("Token {key}"), format!("Basic {}", basic(&key))] {
        let answer = call_with(&gate, "/x", &format!("Authorization: {value}\r\n")).await;
        assert_eq!(answer.status, 200, "{value}");
        assert_eq!(upstream.seen().pop().unwrap().field("authorization"), None);
    }
    assert_eq!(gate.used(&key).await, 3);
}

#[tokio::test]
async fn somebody_elses_credential_is_no_guess_and_a_key_in_any_place_is_one() {
    let upstream = Upstream::ok().await;
    let other = TestGate::simple(&upstream);
    let unknown = other.key("open").await;
    for guess in [
        format!("Authorization: Bearer {unknown}\r\n"),
        format!("Authorization: Basic {}\r\n", basic(&unknown)),
        format!("X-API-Key: {unknown}\r\n"),
        "X-API-Key: nonsense\r\n".to_owned(),
        "Authorization: Bearer ks_nonsense\r\n".to_owned(),
    ] {
        let mut settings = settings();
        settings.key_failures = "2 per minute".parse().unwrap();
        let gate =
            TestGate::open(vec![api(&[upstream.origin()])], vec![plan("open", &[])], settings);
        for theirs in ["Bearer their.own-token", "Basic dXNlcjpwYXNz", "Digest a=b"] {
            for _ in 0..4 {
                let answer = call_with(&gate, "/x", &format!("Authorization: {theirs}\r\n")).await;
                assert_eq!(answer.refusal(), (401, "key_missing".to_owned()), "{theirs}");
            }
        }
        for status in [401, 401, 429] {
            assert_eq!(call_with(&gate, "/x", &guess).await.status, status, "{guess}");
        }
    }
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_caller_without_a_key_is_told_the_header_that_this_api_reads() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    let header = HeaderName::from_static("x-my-key");
    api.credential = CredentialRule::default().in_header(header, "X-My-Key");
    let gate = TestGate::open(vec![api], vec![plan("open", &[])], settings());
    let answer = call_with(&gate, "/x", "X-API-Key: nonsense\r\n").await;
    assert_eq!(answer.refusal(), (401, "key_missing".to_owned()));
    assert_eq!(
        answer.problem()["detail"],
        "An API key is needed. Send it in the X-My-Key header or as a bearer token."
    );
}
