//! Operations whose bodies tell what they cost.

use keystile_core::journal::Outcome;
use keystile_core::keys::lock::LockLevel;
use keystile_core::policy::operation::{BodyKind, BodyRule, Treatment};

use crate::harness::{Answer, TestGate, Upstream, api, plan, request, rule, settings};

async fn gate(kind: BodyKind, cost_max: Option<u32>) -> (Upstream, TestGate, String) {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    let body = BodyRule { kind, cost_max };
    api.operations = vec![rule("* /op", |rule| rule.body = Some(body))];
    api.count_bytes_max = 4096;
    let gate = TestGate::open(vec![api], vec![plan("open", &["30 per day"])], settings());
    let key = gate.key("open").await;
    (upstream, gate, key)
}

fn graphql(document: &str) -> Vec<u8> {
    serde_json::json!({ "query": document }).to_string().into_bytes()
}

/// A call whose body, if it has one, is sent as JSON.
async fn call(gate: &TestGate, method: &str, target: &str, key: &str, body: &[u8]) -> Answer {
    let fields = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    gate.raw(&with_fields(fields, &request(method, target, key, body))).await.unwrap()
}

fn with_fields(fields: &str, request: &[u8]) -> Vec<u8> {
    let end = request.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    [&request[..end], fields.as_bytes(), &request[end..]].concat()
}

#[tokio::test]
async fn graphql_mutations_cost_their_root_fields_and_queries_are_reads() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    let mut used = 0;
    let batch =
        "[{\"query\":\"mutation { a }\"},{\"query\":\"{ b }\"},{\"query\":\"mutation { c }\"}]";
    for (body, cost) in [
        (graphql("{ me { name } }"), 0),
        (graphql("query A { a } query B { b }"), 0),
        (graphql("mutation { a }"), 1),
        (graphql("mutation { x: drop(id: 1) y: drop(id: 2) z: drop(id: 3) }"), 3),
        (graphql("query A { a } mutation B { b c }"), 2),
        (batch.as_bytes().to_vec(), 2),
    ] {
        let answer = call(&gate, "POST", "/op", &key, &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(upstream.seen().pop().unwrap().body, body, "the body goes on as it came");
        used += cost;
        assert_eq!(gate.used(&key).await, used, "{}", String::from_utf8_lossy(&body));
    }
    let answer = call(&gate, "POST", "/op", &key, &graphql("mutation { a }")).await;
    assert_eq!(answer.status, 200);
    assert!(gate.records().await.iter().all(|record| record.outcome == Outcome::Applied));
}

#[tokio::test]
async fn a_mutation_in_the_address_is_a_write_whatever_the_body_says() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    for (method, query, body, used) in [
        ("GET", "query=%7Bme%7D", Vec::new(), 0),
        ("GET", "query=mutation%7Bdrop%7D", Vec::new(), 1),
        ("GET", "query=mutation+%7Ba%20b%7D&variables=%7B%7D", Vec::new(), 3),
        ("POST", "query=mutation%7Bdrop%7D", Vec::new(), 4),
        ("POST", "operationName=x", graphql("mutation { a }"), 5),
    ] {
        assert_eq!(
            call(&gate, method, &format!("/op?{query}"), &key, &body).await.status,
            200,
            "{query}"
        );
        assert_eq!(gate.used(&key).await, used, "{method} {query}");
    }
    for method in ["GET", "POST"] {
        let target = "/op?query=mutation%7Bdrop%7D";
        let answer = call(&gate, method, target, &key, &graphql("{ me }")).await;
        assert_eq!(answer.refusal(), (400, "body_uncountable".to_owned()), "which one is meant?");
    }
    assert_eq!(upstream.seen().len(), 5);
}

#[tokio::test]
async fn graphql_that_cannot_be_read_is_refused_and_never_free() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    for body in [
        &b""[..],
        b"{",
        b"{\"id\":\"persisted\"}",
        b"{\"query\":\"mutation { ...Missing }\"}",
        b"{\"query\":\"{ a }\",\"Query\":\"mutation { drop }\"}",
        b"{\"query\":\"mutation { drop }\",\"query\":\"{ a }\"}",
        b"query=mutation%7Bdrop%7D",
        b"\x1f\x8b\x08\0\0\0\0\0",
    ] {
        let answer = call(&gate, "POST", "/op", &key, body).await;
        assert_eq!(
            answer.refusal(),
            (400, "body_uncountable".to_owned()),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gate.used(&key).await, 0);
}

#[tokio::test]
async fn a_stated_maximum_is_what_an_uncountable_body_costs() {
    let (upstream, gate, key) = gate(BodyKind::Items { at: None }, Some(12)).await;
    assert_eq!(call(&gate, "POST", "/op", &key, b"not json").await.status, 200);
    assert_eq!(gate.used(&key).await, 12);
    assert_eq!(upstream.seen()[0].body, b"not json");
}

#[tokio::test]
async fn items_cost_their_number_and_all_or_none_are_admitted() {
    let (upstream, gate, key) = gate(BodyKind::Items { at: Some("rows".to_owned()) }, None).await;
    assert_eq!(call(&gate, "POST", "/op", &key, b"{\"x\":[1],\"rows\":[1,2,3]}").await.status, 200);
    assert_eq!(call(&gate, "POST", "/op?page=1", &key, b"{\"rows\":[]}").await.status, 200);
    assert_eq!(gate.used(&key).await, 4, "an empty list is not free");
    let rows = vec!["0"; 27].join(",");
    let answer =
        call(&gate, "POST", "/op", &key, format!("{{\"rows\":[{rows}]}}").as_bytes()).await;
    assert_eq!(answer.refusal(), (403, "key_locked".to_owned()));
    assert_eq!(gate.used(&key).await, 4);
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn json_rpc_batches_cost_their_entries() {
    let (_upstream, gate, key) = gate(BodyKind::JsonRpc, None).await;
    assert_eq!(call(&gate, "POST", "/op", &key, b"{\"method\":\"a\"}").await.status, 200);
    assert_eq!(
        call(&gate, "POST", "/op", &key, b"[{\"method\":\"a\"},{\"method\":\"b\"}]").await.status,
        200
    );
    assert_eq!(gate.used(&key).await, 3);
    assert_eq!(call(&gate, "POST", "/op", &key, b"[1,").await.status, 400);
}

#[tokio::test]
async fn a_body_too_large_to_count_is_refused_however_it_is_framed() {
    let (upstream, gate, key) = gate(BodyKind::Items { at: None }, Some(1)).await;
    let body = format!("[{}1]", "1,".repeat(5000));
    let answer = call(&gate, "POST", "/op", &key, body.as_bytes()).await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    let head = format!(
        "POST /op HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Type: application/json\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(gate.raw(chunked.as_bytes()).await.unwrap().status, 413);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_locked_key_may_still_query_but_not_mutate() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    for _ in 0..30 {
        assert_eq!(gate.call("POST", "/other", &key, b"").await.status, 200);
    }
    assert_eq!(gate.call("POST", "/other", &key, b"").await.status, 403);
    assert_eq!(call(&gate, "POST", "/op", &key, &graphql("{ me }")).await.status, 200);
    assert_eq!(
        call(&gate, "POST", "/op", &key, &graphql("mutation { a }")).await.refusal(),
        (403, "key_locked".to_owned())
    );
    assert_eq!(upstream.seen().len(), 31);
}

#[tokio::test]
async fn a_counted_body_in_chunks_goes_on_with_its_length() {
    let (upstream, gate, key) = gate(BodyKind::Items { at: None }, None).await;
    let mut bytes = request("POST", "/op", &key, b"");
    bytes.truncate(bytes.len() - 2);
    bytes.extend(b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n");
    let mut caller = gate.caller().await;
    caller.send(&bytes).await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!((seen.body.as_slice(), seen.field("content-length")), (&b"[1,2]"[..], Some("5")));
    assert_eq!(gate.used(&key).await, 2);
    assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_operation_may_cost_more_than_one() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.operations = vec![rule("POST /import", |rule| rule.cost = Some(5))];
    let gate = TestGate::open(vec![api], vec![plan("open", &["12 per day"])], settings());
    let key = gate.key("open").await;
    for (target, status, used) in
        [("/import", 200, 5), ("/import", 200, 10), ("/x", 200, 11), ("/import", 403, 11)]
    {
        assert_eq!(gate.call("POST", target, &key, b"").await.status, status);
        assert_eq!(gate.used(&key).await, used);
    }
}

/// Everything that is known to be read in another way somewhere: none of it reaches the upstream, by a
/// key that is locked or not, and nothing is taken for it.
#[tokio::test]
async fn a_body_with_two_readings_is_refused_also_for_a_locked_key() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    let locked = gate.key("open").await;
    gate.lock(&locked, LockLevel::Writes, None).await;
    let read = graphql("{ me }");
    let utf16: Vec<u8> =
        std::str::from_utf8(&read).unwrap().encode_utf16().flat_map(u16::to_le_bytes).collect();
    let json = "Content-Type: application/json\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let multipart = "Content-Type: multipart/form-data; boundary=x\r\n";
    let in_block = b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\"\"\"{a}\r\n--x--";
    let gzip = "Content-Encoding: gzip\r\n";
    for (fields, target, body) in [
        ("", "/op", &read[..]),
        ("Content-Type: application/json; charset=utf-7\r\n", "/op", &read),
        ("Content-Type: application/json; charset=utf-16\r\n", "/op", &read),
        ("Content-Type: application/json; charset=utf-16le\r\n", "/op", &utf16),
        ("Content-Type: application/json; a=b\r\n", "/op", &read),
        ("Content-Type: text/plain\r\n", "/op", &read),
        ("Content-Type: application/graphql\r\n", "/op", &read),
        (&format!("{json}{gzip}"), "/op", &read),
        (&format!("{json}Content-Encoding: br\r\n"), "/op", &read),
        (json, "/op", b"{\"query\":\"{ a }\xff\"}"),
        (json, "/op", b"\xef\xbb\xbf{\"query\":\"{ a }\"}"),
        (json, "/op", b"{ a }"),
        (json, "/op", b"{\"query\":\"{ a }\",\"quer\\u0079\":\"mutation { b }\"}"),
        (json, "/op", "{\"query\":\"{ a }\",\"quer\u{ff59}\":\"mutation { b }\"}".as_bytes()),
        (json, "/op", b"{\"query\":\"{ a }\",\"id\":\"1\"}"),
        (json, "/op", b"{\"query\":\"{ a }\",\"extensions\":{\"persistedQuery\":{}}}"),
        (json, "/op?Query=mutation%7Bb%7D", &read),
        (json, "/op?%20query=mutation%7Bb%7D", &read),
        (json, "/op?query[]=mutation%7Bb%7D", &read),
        (json, "/op?x=1;query=mutation%7Bb%7D", &read),
        (json, "/op?documentId=1", &read),
        (form, "/op", b"{a}#&query=mutation{b}"),
        (form, "/op", b"query={a}"),
        (multipart, "/op", in_block),
        ("", "/op?query={a}&Query=mutation{b}", b""),
        ("", "/op?query={a}&query[]=mutation{b}", b""),
        ("", "/op?query={a};query=mutation{b}", b""),
        ("", "/op?query={a}&extensions={%22persistedQuery%22:{}}", b""),
    ] {
        for key in [&key, &locked] {
            let bytes = with_fields(fields, &request("POST", target, key, body));
            let answer = gate.raw(&bytes).await.unwrap();
            assert_eq!(
                answer.refusal(),
                (400, "body_uncountable".to_owned()),
                "{fields} {target} {}",
                String::from_utf8_lossy(body)
            );
        }
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(gate.used(&key).await, 0);
    assert_eq!(call(&gate, "POST", "/op", &locked, &read).await.status, 200, "a clear read flows");
}

#[tokio::test]
async fn a_list_in_another_charset_costs_the_maximum() {
    let (upstream, gate, key) = gate(BodyKind::Items { at: None }, Some(20)).await;
    let body = b"[\"+ACI-,+ACI-,+ACI-,+ACI-\"]";
    let field = "Content-Type: application/json; charset=utf-7\r\n";
    let bytes = with_fields(field, &request("POST", "/op", &key, body));
    assert_eq!(gate.raw(&bytes).await.unwrap().status, 200);
    assert_eq!(gate.used(&key).await, 20);
    assert_eq!(upstream.seen()[0].field("content-type"), Some("application/json; charset=utf-7"));
}

#[tokio::test]
async fn content_types_of_usual_clients_are_counted() {
    let (_upstream, gate, key) = gate(BodyKind::Items { at: None }, None).await;
    for (number, content_type) in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
        "Application/Json",
    ]
    .iter()
    .enumerate()
    {
        let field = format!("Content-Type: {content_type}\r\n");
        let bytes = with_fields(&field, &request("POST", "/op", &key, b"[1,2]"));
        assert_eq!(gate.raw(&bytes).await.unwrap().status, 200, "{content_type}");
        assert_eq!(gate.used(&key).await, 2 * (number as u64 + 1));
    }
}

#[tokio::test]
async fn another_spelling_of_a_counted_path_never_costs_less() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    let mut used = 0;
    for (target, body, cost) in [
        ("/op", "{ a }", 0),
        ("/OP", "{ a }", 1),
        ("/op/", "{ a }", 1),
        ("/Op", "mutation { a b c }", 3),
    ] {
        assert_eq!(call(&gate, "POST", target, &key, &graphql(body)).await.status, 200);
        used += cost;
        assert_eq!(gate.used(&key).await, used, "{target} {body}");
    }
    assert_eq!(call(&gate, "POST", "/OP", &key, b"{").await.status, 400);
    assert_eq!(upstream.seen().len(), 4);
}

#[tokio::test]
async fn a_locked_key_is_stopped_at_another_spelling_of_a_counted_path() {
    let (upstream, gate, key) = gate(BodyKind::GraphQl, None).await;
    for _ in 0..30 {
        assert_eq!(gate.call("POST", "/other", &key, b"").await.status, 200);
    }
    assert_eq!(gate.call("POST", "/other", &key, b"").await.status, 403);
    assert_eq!(call(&gate, "POST", "/op", &key, &graphql("{ me }")).await.status, 200);
    for target in ["/OP", "/op/", "/Op/"] {
        let answer = call(&gate, "POST", target, &key, &graphql("{ me }")).await;
        assert_eq!(answer.refusal(), (403, "key_locked".to_owned()), "{target}");
    }
    assert_eq!(upstream.seen().len(), 31);
}

#[tokio::test]
async fn a_query_under_a_broad_write_rule_is_a_write_on_record() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    let body = BodyRule { kind: BodyKind::GraphQl, cost_max: None };
    api.operations = vec![
        rule("POST /op", |rule| rule.body = Some(body)),
        rule("POST *", |rule| rule.treat_as = Some(Treatment::Write)),
    ];
    let gate = TestGate::open(vec![api], vec![plan("open", &["1 per day"])], settings());
    let key = gate.key("open").await;
    assert_eq!(call(&gate, "POST", "/op", &key, &graphql("{ me }")).await.status, 200);
    assert_eq!((gate.used(&key).await, gate.records().await.len()), (1, 1));
    let answer = call(&gate, "POST", "/op", &key, &graphql("{ me }")).await;
    assert_eq!(answer.refusal(), (403, "key_locked".to_owned()));
}
