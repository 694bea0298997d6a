use http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use proptest::prelude::*;

use super::*;
use crate::request::head::{Fields, fields_of};

const JSON: &str = "application/json";

fn headers(fields: &[(http::HeaderName, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn charge(kind: BodyKind, cost_max: Option<u32>) -> BodyCharge {
    let cost_of_none = u32::from(kind != BodyKind::GraphQl);
    BodyCharge { rules: vec![BodyRule { kind, cost_max }], cost_min: 1, cost_of_none }
}

fn cost_as(content_type: &str, kind: BodyKind, body: impl AsRef<[u8]>) -> Result<u32, Reason> {
    let headers = headers(&[(CONTENT_TYPE, content_type)]);
    let call = CountedCall {
        method: &Method::POST,
        fields: Fields(&fields_of(&headers)),
        query: "",
        body: body.as_ref(),
    };
    cost_of(&charge(kind, None), &call).map_err(|refusal| refusal.reason)
}

fn cost(kind: BodyKind, body: impl AsRef<[u8]>) -> Result<u32, Reason> {
    cost_as(JSON, kind, body)
}

/// What a GraphQL request in an address costs, with a JSON body beside it.
fn cost_at(query: &str, body: &str) -> Result<u32, Reason> {
    let headers = headers(&[(CONTENT_TYPE, JSON)]);
    let call = CountedCall {
        method: &Method::POST,
        fields: Fields(&fields_of(&headers)),
        query,
        body: body.as_bytes(),
    };
    cost_of(&charge(BodyKind::GraphQl, None), &call).map_err(|refusal| refusal.reason)
}

fn items(at: Option<&str>) -> BodyKind {
    BodyKind::Items { at: at.map(str::to_owned) }
}

const UNCOUNTABLE: Result<u32, Reason> = Err(Reason::BodyUncountable);

#[test]
fn entries_of_the_named_array_are_counted() {
    assert_eq!(cost(items(None), "[1, {\"a\": [2, 3]}, null]"), Ok(3));
    assert_eq!(cost(items(Some("rows")), "{\"x\": [1], \"rows\": [1, 2]}"), Ok(2));
    assert_eq!(cost(items(Some("rows")), "{\"\\u0072ows\": [1, 2]}"), Ok(2));
    assert_eq!(cost(BodyKind::JsonRpc, " [{}, {}]"), Ok(2));
    assert_eq!(cost(BodyKind::JsonRpc, "{\"method\": \"x\"}"), Ok(1));
}

#[test]
fn an_empty_list_is_not_free() {
    assert_eq!(cost(items(None), "[]"), Ok(1));
    assert_eq!(cost(BodyKind::JsonRpc, "[]"), Ok(1));
}

#[test]
fn only_a_body_whose_head_leaves_one_reading_is_counted() {
    for clear in [
        "application/json",
        "Application/JSON",
        "application/json;charset=utf-8",
        "application/json; charset=UTF-8",
        "application/json ;\tcharset=\"utf-8\"",
        "application/json; charset=utf8",
        "application/json;",
    ] {
        assert_eq!(cost_as(clear, items(None), "[1,2]"), Ok(2), "{clear}");
    }
    for unclear in [
        "",
        "application/json; charset=utf-7",
        "application/json; charset=utf-16",
        "application/json; charset=latin1",
        "application/json; charset=us-ascii",
        "application/json; charset=utf-8; charset=utf-7",
        "application/json; charset=utf-8, application/json; charset=utf-7",
        "application/json; charset='utf-8'",
        "application/json; charset=\"utf-8",
        "application/json; charset = utf-8",
        "application/json; charset*=utf-7''x",
        "application/json; x=\"; charset=utf-7\"",
        "application/json; charset",
        "application/json, application/json",
        "application/json charset=utf-7",
        "application/json-rpc",
        "application/jsonrequest",
        "application/graphql",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain",
        "text/json",
        "*/*",
        "json",
        "application/json\u{a0}",
    ] {
        assert_eq!(cost_as(unclear, items(None), "[1,2]"), UNCOUNTABLE, "{unclear}");
    }
}

#[test]
fn a_body_without_a_media_type_or_with_two_is_not_counted() {
    let body = b"[1,2]";
    for fields in [vec![], vec![(CONTENT_TYPE, JSON), (CONTENT_TYPE, JSON)]] {
        let headers = headers(&fields);
        let call = CountedCall {
            method: &Method::POST,
            fields: Fields(&fields_of(&headers)),
            query: "",
            body,
        };
        assert!(cost_of(&charge(items(None), None), &call).is_err());
    }
}

#[test]
fn a_body_with_a_content_coding_is_not_counted() {
    let cost = |codings: &[&str]| {
        let mut fields = vec![(CONTENT_TYPE, JSON)];
        fields.extend(codings.iter().map(|coding| (CONTENT_ENCODING, *coding)));
        let headers = headers(&fields);
        let call = CountedCall {
            method: &Method::POST,
            fields: Fields(&fields_of(&headers)),
            query: "",
            body: b"[1,2]",
        };
        cost_of(&charge(items(None), None), &call).ok()
    };
    assert_eq!(cost(&[]), Some(2));
    assert_eq!(cost(&["identity"]), Some(2));
    for codings in
        [&["gzip"][..], &["deflate"], &[""], &["identity, gzip"], &["x"], &["identity", "identity"]]
    {
        assert_eq!(cost(codings), None, "{codings:?}");
    }
}

#[test]
fn a_text_that_parsers_read_differently_is_not_counted() {
    for body in [
        "",
        " ",
        "{",
        "{\"a\": 1}",
        "[1] [2]",
        "[1,]",
        "[1,/* */2]",
        "[1] // [2]",
        "[NaN]",
        "[Infinity]",
        "['a']",
        "[01]",
        "[\"\t\"]",
        "\u{feff}[1]",
        "\u{a0}[1]",
        "[1]\0",
        "{\"rows\":[1],\"rows\":[1,2]}",
        "{\"rows\":[1],\"Rows\":[1,2]}",
        "{\"rows\":[1],\"row\u{17f}\":[1,2]}",
        "{\"rows\":[1],\"row\\u017f\":[1,2]}",
        "{\"rows\":[1],\"rows\\u0000\":[1,2]}",
        "{\"rows\":[1],\"rows\\u0000x\":[1,2]}",
        "{\"rows\":[1],\"\\u0052OWS\":[1,2]}",
        "{\"rows\":[1],\"r_ows\":[1,2]}",
        "{\"rows\":[1],\" rows\":[1,2]}",
        "{\"rows\":[1],\"rows[]\":[1,2]}",
        "{\"rows\":[1],\"rows\\ud800\":[1,2]}",
        "{\"Rows\":[1]}",
        "{\"rows\":[1],\"__proto__\":{\"rows\":[1,2]}}",
        "{\"rows\":{\"0\":1,\"1\":2}}",
        "{\"rows\":null}",
        "{\"rows\":\"[1,2]\"}",
    ] {
        assert_eq!(cost(items(Some("rows")), body), UNCOUNTABLE, "{body}");
    }
    for body in
        [&b"[\"\xff\"]"[..], b"[\"\xed\xa0\x80\"]", b"\xff\xfe[\0", b"[\0]\0", b"[\"\xc0\xaf\"]"]
    {
        assert_eq!(cost(items(None), body), UNCOUNTABLE, "{body:?}");
    }
}

#[test]
fn a_list_that_also_stands_in_the_address_is_not_counted() {
    let cost = |query| {
        let headers = headers(&[(CONTENT_TYPE, JSON)]);
        let call = CountedCall {
            method: &Method::POST,
            fields: Fields(&fields_of(&headers)),
            query,
            body: b"{\"rows\":[1]}",
        };
        cost_of(&charge(items(Some("rows")), None), &call).ok()
    };
    assert_eq!(cost("dry_run=1&page=2"), Some(1));
    for query in [
        "rows[]=1&rows[]=2",
        "rows=1",
        "x;rows=1",
        "Rows=1",
        "%72ows=1",
        "%2572ows",
        "a=1&rows%5B%5D=1",
    ] {
        assert_eq!(cost(query), None, "{query}");
    }
}

#[test]
fn a_call_that_some_parser_takes_for_a_batch_is_not_counted() {
    for body in [
        "{\"0\":{\"method\":\"a\"},\"1\":{\"method\":\"b\"}}",
        "{\"method\":\"a\",\" 1\":{}}",
        "[[{\"method\":\"a\"},{\"method\":\"b\"}]]",
        "[{\"0\":{},\"1\":{}}]",
        "[1]",
        "\"x\"",
        "[{\"method\":\"a\"},]",
        "{\"__proto__\":[]}",
    ] {
        assert_eq!(cost(BodyKind::JsonRpc, body), UNCOUNTABLE, "{body}");
    }
    assert_eq!(cost(BodyKind::JsonRpc, ""), UNCOUNTABLE);
    let answer = "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}";
    assert_eq!(cost(BodyKind::JsonRpc, answer), Ok(1), "both sides may call over one address");
}

#[test]
fn deep_nesting_does_not_change_the_count() {
    let deep = |depth: usize| format!("[{}{},1]", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(cost(items(None), deep(100)), Ok(2));
    assert_eq!(cost(items(None), deep(200_000)), Ok(2));
    assert_eq!(cost(items(None), "[".repeat(100_000)), UNCOUNTABLE);
    let names = format!("{}{}", "{\"query\":".repeat(100_000), "}".repeat(100_000));
    assert_eq!(cost(BodyKind::GraphQl, names), UNCOUNTABLE);
}

#[test]
fn an_uncountable_body_costs_the_maximum_where_there_is_one() {
    let none = HeaderMap::new();
    let call = CountedCall {
        method: &Method::POST,
        fields: Fields(&fields_of(&none)),
        query: "",
        body: b"[1,2]",
    };
    assert_eq!(cost_of(&charge(items(None), Some(50)), &call), Ok(50));
    let json = headers(&[(CONTENT_TYPE, JSON)]);
    let call = CountedCall {
        method: &Method::POST,
        fields: Fields(&fields_of(&json)),
        query: "",
        body: b"[1,2]",
    };
    assert_eq!(cost_of(&charge(items(None), Some(50)), &call), Ok(2));
}

#[test]
fn of_several_rules_the_one_that_counts_most_holds() {
    let json = headers(&[(CONTENT_TYPE, JSON)]);
    let rule = |kind, cost_max| BodyRule { kind, cost_max };
    let cost = |rules: &[BodyRule], body: &[u8]| {
        let charge = BodyCharge { rules: rules.to_vec(), cost_min: 2, cost_of_none: 0 };
        cost_of(
            &charge,
            &CountedCall {
                method: &Method::POST,
                fields: Fields(&fields_of(&json)),
                query: "",
                body,
            },
        )
        .ok()
    };
    let graphql = rule(BodyKind::GraphQl, None);
    let three = b"{\"query\": \"mutation { a b c }\", \"variables\": [1, 2]}";
    for rules in [
        [graphql.clone(), rule(items(Some("variables")), None)],
        [rule(items(Some("variables")), None), graphql.clone()],
    ] {
        assert_eq!(cost(&rules, three), Some(3));
        assert_eq!(cost(&rules, b"{\"query\": \"{ a }\", \"variables\": [1]}"), Some(2));
        assert_eq!(cost(&rules, b"{\"query\": \"{ a }\"}"), None, "one cannot count it");
    }
    assert_eq!(cost(&[graphql.clone(), rule(items(None), Some(9))], three), Some(9));
    assert_eq!(cost(&[graphql], b"{\"query\": \"{ a }\"}"), Some(0));
}

#[test]
fn every_uncountable_body_is_told_what_helps() {
    let headers = headers(&[(CONTENT_TYPE, "text/plain")]);
    let call = CountedCall {
        method: &Method::POST,
        fields: Fields(&fields_of(&headers)),
        query: "",
        body: b"[1]",
    };
    insta::assert_snapshot!(
        cost_of(&charge(BodyKind::GraphQl, None), &call).unwrap_err().caller_text(),
        @"The body must be sent as `Content-Type: application/json` or `application/graphql`, in UTF-8 and without further parameters."
    );
}

fn query(document: &str) -> String {
    serde_json::json!({ "query": document }).to_string()
}

#[test]
fn requests_of_usual_clients_are_counted() {
    for body in [
        "{\"query\":\"{ a }\"}",
        "{\"operationName\":\"A\",\"query\":\"query A { a }\",\"variables\":{\"x\":[1]}}",
        "{\"operationName\":null,\"variables\":null,\"extensions\":null,\"query\":\"{ a }\"}",
        "{\"query\":\"{ a }\",\"extensions\":{\"clientLibrary\":{\"name\":\"@apollo/client\"}}}",
        "{\"id\":null,\"query\":\"{ a }\"}",
        "[{\"query\":\"{ a }\"},{\"query\":\"{ b }\"}]",
    ] {
        assert_eq!(cost(BodyKind::GraphQl, body), Ok(0), "{body}");
        let mutation = body.replace("{ a }", "{ a b }").replace("query A", "mutation A");
        let mutation = mutation.replace("\"{ a b }", "\"mutation { a b }");
        assert_eq!(cost(BodyKind::GraphQl, &mutation), Ok(2), "{mutation}");
    }
}

#[test]
fn batches_bare_documents_and_addresses_count_alike() {
    let batch = "[{\"query\": \"mutation { a }\"}, {\"query\": \"{ b }\"}, {\"query\": \"mutation { c d }\"}]";
    assert_eq!(cost(BodyKind::GraphQl, batch), Ok(3));
    assert_eq!(cost_as("application/graphql", BodyKind::GraphQl, "mutation { a b }"), Ok(2));
    assert_eq!(cost_as("application/graphql; charset=utf-8", BodyKind::GraphQl, "{ a }"), Ok(0));
    assert_eq!(cost_at("x=1&query=mutation%7Ba%20b%7D", ""), Ok(2));
    assert_eq!(cost_at("query=mutation+%7Ba%7D&variables=%7B%7D&operationName=x", ""), Ok(1));
    assert_eq!(cost_at("query={a}&extensions={%22clientLibrary%22:{}}", ""), Ok(0));
    assert_eq!(cost_at("operationName=x", &query("mutation { a }")), Ok(1));
}

#[test]
fn json_and_a_bare_document_are_not_taken_for_one_another() {
    assert_eq!(cost(BodyKind::GraphQl, "{ a }"), UNCOUNTABLE);
    assert_eq!(cost_as("application/graphql", BodyKind::GraphQl, query("{ a }")), UNCOUNTABLE);
}

#[test]
fn a_request_in_two_places_is_not_counted() {
    let read = query("{ a }");
    for address in
        ["query=%7Ba%7D", "query", "query=", "Query=mutation{a}", "x=1;query=mutation{a}"]
    {
        assert_eq!(cost_at(address, &read), UNCOUNTABLE, "{address}");
    }
    assert_eq!(cost_at("", ""), UNCOUNTABLE);
    assert_eq!(cost_at("variables=%7B%7D", ""), UNCOUNTABLE);
}

/// A browser that opens the page of a GraphQL explorer.
#[test]
fn a_get_that_holds_no_request_asks_for_a_page() {
    let headers = HeaderMap::new();
    let rules = vec![BodyRule { kind: BodyKind::GraphQl, cost_max: None }];
    let charge = BodyCharge { rules, cost_min: 1, cost_of_none: 0 };
    for (method, query, expected) in [
        (Method::GET, "", Some(0)),
        (Method::HEAD, "variables=%7B%7D", Some(0)),
        (Method::GET, "id=stored", None),
        (Method::POST, "", None),
    ] {
        let call =
            CountedCall { method: &method, fields: Fields(&fields_of(&headers)), query, body: b"" };
        assert_eq!(cost_of(&charge, &call).ok(), expected, "{method} {query}");
    }
}

#[test]
fn an_address_with_a_second_query_in_any_spelling_is_not_counted() {
    for second in [
        "query=%7Bb%7D",
        "Query=mutation%7Bb%7D",
        "QUERY=x",
        "%20query=x",
        "query%20=x",
        "+query=x",
        "query[]=x",
        "query%5B0%5D=x",
        "%71uery=x",
        "%2571uery=x",
        "quer%EF%BC%B9=x",
        "query%00=x",
        "query%00x=x",
        "%FFquery=x",
        "a;query=x",
        "a=b?query=x",
        "que_ry=x",
        "query",
    ] {
        for address in [format!("query=%7Ba%7D&{second}"), format!("{second}&query=%7Ba%7D")] {
            assert_eq!(cost_at(&address, ""), UNCOUNTABLE, "{address}");
        }
        assert_eq!(cost_at(second, &query("{ a }")), UNCOUNTABLE, "{second}");
    }
    assert_eq!(cost_at("query={a}%23;query=mutation{b}", ""), UNCOUNTABLE);
    assert_eq!(cost_at("query={a(x:\"%3B\")}", ""), Ok(0));
    assert_eq!(cost_at("query={a(x:\"u;v\")}", ""), UNCOUNTABLE);
    assert_eq!(cost_at("query=%7Ba%7D%FF", ""), UNCOUNTABLE);
}

#[test]
fn a_document_that_is_not_shown_is_not_counted() {
    for member in [
        "\"id\":\"x\"",
        "\"documentId\":\"x\"",
        "\"doc_id\":\"x\"",
        "\"hash\":\"x\"",
        "\"persistedQuery\":{}",
        "\"anything\":1",
        "\"extensions\":{\"persistedQuery\":{\"version\":1}}",
        "\"extensions\":{\"PersistedQuery\":{}}",
        "\"extensions\":{\"persisted_query\":{}}",
        "\"extensions\":{\"documentId\":\"x\"}",
        "\"extensions\":\"{\\\"persistedQuery\\\":{}}\"",
        "\"extensions\":[]",
        "\"extensions\":{},\"extensions\":{\"persistedQuery\":{}}",
        "\"Extensions\":{\"persistedQuery\":{}}",
        "\"__proto__\":{\"extensions\":{}}",
        "\"query\":\"{ b }\"",
        "\"Query\":null",
        "\"quer\u{ff59}\":\"x\"",
        "\"query\\u0000\":\"x\"",
    ] {
        let body = format!("{{\"query\":\"{{ a }}\",{member}}}");
        assert_eq!(cost(BodyKind::GraphQl, &body), UNCOUNTABLE, "{body}");
        let body = format!("[{{\"query\":\"{{ a }}\"}},{{{member},\"query\":\"{{ a }}\"}}]");
        assert_eq!(cost(BodyKind::GraphQl, &body), UNCOUNTABLE, "{body}");
    }
    for body in [
        "{\"id\":\"x\"}",
        "{\"query\":null}",
        "{\"query\":\"\"}",
        "[]",
        "[[{\"query\":\"{a}\"}]]",
        "{\"QUERY\":\"{a}\"}",
    ] {
        assert_eq!(cost(BodyKind::GraphQl, body), UNCOUNTABLE, "{body}");
    }
    for address in [
        "id=1",
        "documentId=x",
        "extensions=%7B%22persistedQuery%22:%7B%7D%7D",
        "hash=x",
        "extensions=x",
        "Extensions=%7B%7D",
    ] {
        assert_eq!(cost_at(&format!("query=%7Ba%7D&{address}"), ""), UNCOUNTABLE, "{address}");
        assert_eq!(cost_at(address, &query("{ a }")), UNCOUNTABLE, "{address}");
    }
}

#[test]
fn forms_and_files_are_not_read_as_documents() {
    let multipart = "--x\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\n{a}\r\n--x--";
    for (content_type, body) in [
        ("application/x-www-form-urlencoded", "{a}#&query=mutation{b}"),
        ("application/x-www-form-urlencoded", "query={a}"),
        ("multipart/form-data; boundary=x", multipart),
        ("text/plain", "{a}"),
        ("application/graphql+json", "{\"query\":\"{a}\"}"),
        ("application/json; charset=utf-7", "{\"query\":\"{a} +ACI-\"}"),
    ] {
        assert_eq!(cost_as(content_type, BodyKind::GraphQl, body), UNCOUNTABLE, "{content_type}");
    }
}

/// What a server finds that is as lenient as any: the longest list that follows something like the name,
/// in the charset that the head asks for in any way.
fn most_that_a_lenient_reader_finds(content_type: &str, body: &str, name: Option<&str>) -> usize {
    let text = if content_type.contains("utf-7") {
        body.replace("+ACI-", "\"").replace("+AFs-", "[").replace("+AF0-", "]")
    } else {
        body.to_owned()
    };
    longest_list(&text, name)
}

fn longest_list(text: &str, name: Option<&str>) -> usize {
    let text = text.replace("\\u0072", "r").replace("\\u017f", "s").replace("\\u0000", "");
    let text = text.to_lowercase().replace(['\u{17f}'], "s").replace(['\0', '_', '\u{feff}'], "");
    let starts = text.match_indices('[').filter(|(start, _)| {
        let before = text[..*start].trim_end();
        match name {
            None => before.is_empty(),
            Some(name) => {
                let before = before.trim_end_matches(|c: char| ": \"'".contains(c));
                before.trim_end_matches("[]").ends_with(name)
            }
        }
    });
    starts.map(|(start, _)| entries_from(&text[start + 1..])).max().unwrap_or(0)
}

/// The entries of a list of plain values, as far as its end or the end of the text.
fn entries_from(text: &str) -> usize {
    let list = text.split(']').next().unwrap_or_default();
    let mut is_quoted = false;
    let is_comma = |c: char| {
        is_quoted ^= c == '"';
        c == ',' && !is_quoted
    };
    list.split(is_comma).filter(|entry| !entry.trim().is_empty()).count()
}

fn pieces(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(of), 0..14).prop_map(|pieces| pieces.concat())
}

const CONTENT_TYPES: [&str; 7] = [
    JSON,
    "application/json;charset=utf-8",
    "application/json;charset=utf-7",
    "application/json;charset=utf-16le",
    "application/x-www-form-urlencoded",
    "application/graphql",
    "",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn a_counted_list_never_costs_less_than_a_lenient_reader_finds(
        inner in pieces(&["\"rows\"", "\"ROWS\"", "\"ro\\u0077s\"", "\"row\\u017f\"", "\"r_ows\"", "\"x\"",
            ":", "[1]", "[1,2,3]", ",", "[1,+ACI-,+ACI-]", "[\"+ACI-,+ACI-\"]", "+AFs-1,2,3+AF0-", " ",
            "/*", "*/", "//", "null", "\u{feff}", "rows[]", "\"rows\\u0000\"", "\"rows\":[1]", "\"x\":1"]),
        is_object in any::<bool>(),
        content_type in prop::sample::select(&CONTENT_TYPES[..]),
    ) {
        let (name, body) = if is_object {
            (Some("rows"), format!("{{{inner}}}"))
        } else {
            (None, inner)
        };
        if let Ok(cost) = cost_as(content_type, items(name), &body) {
            let found = most_that_a_lenient_reader_finds(content_type, &body, name);
            prop_assert!(cost as usize >= found, "{cost} < {found}: {body}");
        }
    }

    #[test]
    fn a_counted_request_never_costs_less_than_any_place_of_it_holds(
        in_member in prop::option::of(0_usize..4),
        in_other_member in prop::option::of((
            prop::sample::select(vec!["query", "QUERY", "quer\u{ff59}", "query\\u0000", "q_uery", "Query "]),
            0_usize..4,
        )),
        in_address in prop::option::of((
            prop::sample::select(vec![
                "query", "Query", "%20query", "query[]", "x;query", "x?query", "%71uery", "%2571uery",
            ]),
            0_usize..4,
        )),
        in_second in prop::option::of((prop::sample::select(vec!["query", "QUERY", "query%00"]), 0_usize..4)),
        persisted in prop::option::of(prop::sample::select(vec!["id", "documentId", "hash", "extensions"])),
        content_type in prop::sample::select(&CONTENT_TYPES[..]),
    ) {
        let document = |writes: usize| match writes {
            0 => "{r}".to_owned(),
            writes => format!("mutation{{{}}}", vec!["w"; writes].join(" ")),
        };
        let mut most = 0;
        let mut members = Vec::new();
        for (name, writes) in in_member.map(|writes| ("query", writes)).into_iter().chain(in_other_member) {
            members.push(format!("\"{name}\":\"{}\"", document(writes)));
            most = most.max(writes);
        }
        if let Some(name) = persisted {
            members.push(format!("\"{name}\":{{\"persistedQuery\":{{}}}}"));
            most = most.max(9);
        }
        let mut parameters = vec!["v=1".to_owned()];
        for (name, writes) in in_address.into_iter().chain(in_second) {
            parameters.push(format!("{name}={}", document(writes).replace(' ', "+")));
            most = most.max(writes);
        }
        let body = if members.is_empty() { String::new() } else { format!("{{{}}}", members.join(",")) };
        let fields = headers(&[(CONTENT_TYPE, content_type)]);
        let call = CountedCall { method: &Method::POST, fields: Fields(&fields_of(&fields)), query: &parameters.join("&"), body: body.as_bytes() };
        if let Ok(cost) = cost_of(&charge(BodyKind::GraphQl, None), &call) {
            prop_assert!(cost as usize >= most, "{cost} < {most}: {call:?}");
        }
    }

    #[test]
    fn hostile_bodies_are_never_free(
        body in prop::collection::vec(any::<u8>(), 0..200),
        content_type in prop::sample::select(&CONTENT_TYPES[..]),
        query in "[ -~]{0,40}",
    ) {
        let headers = headers(&[(CONTENT_TYPE, content_type)]);
        for kind in [items(None), items(Some("a")), BodyKind::JsonRpc] {
            let call = CountedCall { method: &Method::POST, fields: Fields(&fields_of(&headers)), query: &query, body: &body };
            prop_assert!(cost_of(&charge(kind, Some(9)), &call).unwrap() >= 1);
        }
    }
}
