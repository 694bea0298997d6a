//! Operations whose bodies tell what they cost.

use keystile_core::journal::Outcome;
use keystile_core::operation::{BodyKind, BodyRule};

use crate::harness::{Rig, Upstream, api, plan, request, rule, settings};

async fn rig(kind: BodyKind, cost_max: Option<u32>) -> (Upstream, Rig, String) {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    let body = BodyRule { kind, cost_max };
    api.operations = vec![rule("* /op", |rule| rule.body = Some(body))];
    api.count_bytes_max = 4096;
    let rig = Rig::open(vec![api], vec![plan("open", &["30 per day"])], settings());
    let key = rig.key("open").await;
    (upstream, rig, key)
}

fn graphql(document: &str) -> Vec<u8> {
    serde_json::json!({ "query": document }).to_string().into_bytes()
}

#[tokio::test]
async fn graphql_mutations_cost_their_root_fields_and_queries_are_reads() {
    let (upstream, rig, key) = rig(BodyKind::GraphQl, None).await;
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
        let answer = rig.call("POST", "/op", &key, &body).await;
        assert_eq!(answer.status, 200);
        assert_eq!(upstream.seen().pop().unwrap().body, body, "the body goes on as it came");
        used += cost;
        assert_eq!(rig.used(&key).await, used, "{}", String::from_utf8_lossy(&body));
    }
    let answer = rig.call("POST", "/op", &key, &graphql("mutation { a }")).await;
    assert_eq!(answer.status, 200);
    assert!(rig.records().await.iter().all(|record| record.outcome == Outcome::Applied));
}

#[tokio::test]
async fn a_mutation_in_the_address_is_a_write_whatever_the_body_says() {
    let (upstream, rig, key) = rig(BodyKind::GraphQl, None).await;
    for (method, query, body, used) in [
        ("GET", "query=%7Bme%7D", Vec::new(), 0),
        ("GET", "query=mutation%7Bdrop%7D", Vec::new(), 1),
        ("GET", "query=mutation+%7Ba%20b%7D&variables=%7B%7D", Vec::new(), 3),
        ("POST", "query=mutation%7Bdrop%7D", graphql("{ me }"), 4),
        ("GET", "query=mutation%7Bdrop%7D", graphql("{ me }"), 5),
        ("POST", "operationName=x", graphql("mutation { a }"), 6),
    ] {
        assert_eq!(
            rig.call(method, &format!("/op?{query}"), &key, &body).await.status,
            200,
            "{query}"
        );
        assert_eq!(rig.used(&key).await, used, "{method} {query}");
    }
    assert_eq!(upstream.seen().len(), 6);
}

#[tokio::test]
async fn graphql_that_cannot_be_read_is_refused_and_never_free() {
    let (upstream, rig, key) = rig(BodyKind::GraphQl, None).await;
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
        let answer = rig.call("POST", "/op", &key, body).await;
        assert_eq!(
            answer.refusal(),
            (400, "body_uncountable".to_owned()),
            "{}",
            String::from_utf8_lossy(body)
        );
    }
    assert!(upstream.seen().is_empty());
    assert_eq!(rig.used(&key).await, 0);
}

#[tokio::test]
async fn a_stated_maximum_is_what_an_uncountable_body_costs() {
    let (upstream, rig, key) = rig(BodyKind::Items { at: None }, Some(12)).await;
    assert_eq!(rig.call("POST", "/op", &key, b"not json").await.status, 200);
    assert_eq!(rig.used(&key).await, 12);
    assert_eq!(upstream.seen()[0].body, b"not json");
}

#[tokio::test]
async fn items_cost_their_number_and_all_or_none_are_admitted() {
    let (upstream, rig, key) = rig(BodyKind::Items { at: Some("rows".to_owned()) }, None).await;
    assert_eq!(rig.call("POST", "/op", &key, b"{\"x\":[1],\"rows\":[1,2,3]}").await.status, 200);
    assert_eq!(rig.call("POST", "/op?rows=1", &key, b"{\"rows\":[]}").await.status, 200);
    assert_eq!(rig.used(&key).await, 4, "an empty list is not free");
    let rows = vec!["0"; 27].join(",");
    let answer = rig.call("POST", "/op", &key, format!("{{\"rows\":[{rows}]}}").as_bytes()).await;
    assert_eq!(answer.refusal(), (403, "key_locked".to_owned()));
    assert_eq!(rig.used(&key).await, 4);
    assert_eq!(upstream.seen().len(), 2);
}

#[tokio::test]
async fn json_rpc_batches_cost_their_entries() {
    let (_upstream, rig, key) = rig(BodyKind::JsonRpc, None).await;
    assert_eq!(rig.call("POST", "/op", &key, b"{\"method\":\"a\"}").await.status, 200);
    assert_eq!(
        rig.call("POST", "/op", &key, b"[{\"method\":\"a\"},{\"method\":\"b\"}]").await.status,
        200
    );
    assert_eq!(rig.used(&key).await, 3);
    assert_eq!(rig.call("POST", "/op", &key, b"[1,").await.status, 400);
}

#[tokio::test]
async fn a_body_too_large_to_count_is_refused_however_it_is_framed() {
    let (upstream, rig, key) = rig(BodyKind::Items { at: None }, Some(1)).await;
    let body = format!("[{}1]", "1,".repeat(5000));
    let answer = rig.call("POST", "/op", &key, body.as_bytes()).await;
    assert_eq!(answer.refusal(), (413, "body_too_large".to_owned()));
    let head = format!(
        "POST /op HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    let chunked = format!("{head}{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    assert_eq!(rig.raw(chunked.as_bytes()).await.unwrap().status, 413);
    assert!(upstream.seen().is_empty());
}

#[tokio::test]
async fn a_locked_key_may_still_query_but_not_mutate() {
    let (upstream, rig, key) = rig(BodyKind::GraphQl, None).await;
    for _ in 0..30 {
        assert_eq!(rig.call("POST", "/other", &key, b"").await.status, 200);
    }
    assert_eq!(rig.call("POST", "/other", &key, b"").await.status, 403);
    assert_eq!(rig.call("POST", "/op", &key, &graphql("{ me }")).await.status, 200);
    assert_eq!(
        rig.call("POST", "/op", &key, &graphql("mutation { a }")).await.refusal(),
        (403, "key_locked".to_owned())
    );
    assert_eq!(upstream.seen().len(), 31);
}

#[tokio::test]
async fn a_counted_body_in_chunks_goes_on_with_its_length() {
    let (upstream, rig, key) = rig(BodyKind::Items { at: None }, None).await;
    let mut bytes = request("POST", "/op", &key, b"");
    bytes.truncate(bytes.len() - 2);
    bytes.extend(b"Transfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n");
    let mut caller = rig.caller().await;
    caller.send(&bytes).await;
    assert_eq!(caller.answer().await.unwrap().status, 200);
    let seen = upstream.seen().pop().unwrap();
    assert_eq!((seen.body.as_slice(), seen.field("content-length")), (&b"[1,2]"[..], Some("5")));
    assert_eq!(rig.used(&key).await, 2);
    assert_eq!(caller.call("GET", "/x", &key, b"").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn an_operation_may_cost_more_than_one() {
    let upstream = Upstream::ok().await;
    let mut api = api(&[upstream.origin()]);
    api.operations = vec![rule("POST /import", |rule| rule.cost = Some(5))];
    let rig = Rig::open(vec![api], vec![plan("open", &["12 per day"])], settings());
    let key = rig.key("open").await;
    for (target, status, used) in
        [("/import", 200, 5), ("/import", 200, 10), ("/x", 200, 11), ("/import", 403, 11)]
    {
        assert_eq!(rig.call("POST", target, &key, b"").await.status, status);
        assert_eq!(rig.used(&key).await, used);
    }
}
