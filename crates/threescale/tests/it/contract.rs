//! What the reference's clients see of an answer beside its body.

use keystile_threescale::account::own_principal;
use keystile_threescale::account::record::ApplicationRecord;
use keystile_threescale::backend::period::Period;

use crate::fixture::{Backend, PROVIDER, Reply, exchange};

fn ask(backend: &Backend, method: &str, path: &str, fields: &str) -> Reply {
    let head = format!("{method} {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n{fields}\r\n");
    exchange(backend.address(), &head)
}

#[tokio::test(flavor = "multi_thread")]
async fn extensions_of_the_header_shape_the_answer() {
    let backend = Backend::start(&[(Period::Day, 10)]).await;
    let all = "3scale-options: rejection_reason_header=1&limit_headers=1&no_body=1\r\n";
    let path = format!("/transactions/authrep.xml?{PROVIDER}&user_key=ukey&usage[hits]=4");
    let reply = ask(&backend, "GET", &path, all);
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.field("3scale-limit-remaining"), Some("1"));
    assert_eq!(reply.field("3scale-limit-max-value"), Some("10"));
    let reset: u64 = reply.field("3scale-limit-reset").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&reset));
    assert_eq!(reply.field("3scale-rejection-reason"), None);
    ask(&backend, "GET", &path, all);
    let reply = ask(&backend, "GET", &path, all);
    assert_eq!((reply.status, reply.body.as_str()), (409, ""));
    assert_eq!(reply.field("3scale-rejection-reason"), Some("limits_exceeded"));
    assert_eq!(reply.field("3scale-limit-remaining"), Some("0"));
    let reply = ask(&backend, "GET", &path, "");
    assert_eq!(reply.field("3scale-limit-remaining"), None);
    assert_eq!(reply.field("3scale-rejection-reason"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_of_application_keys_shows_none_of_them() {
    let backend = Backend::start(&[]).await;
    let key = backend.account.app_key("a", "secret");
    let with_key = |record: Option<ApplicationRecord>| {
        let mut record = record?;
        record.keys.push(key);
        Some(record)
    };
    backend.account.change_application(&own_principal(), "7", "a", with_key).await.unwrap();
    backend.make_service("2", &[]).await;
    let path = format!("/transactions/authorize.xml?{PROVIDER}&app_id=a&app_key=secret");
    let reply = ask(&backend, "GET", &path, "3scale-options: list_app_keys=1\r\n");
    assert!(reply.body.contains("<app_keys app=\"a\" svc=\"7\"></app_keys>"), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_fields_of_the_reference() {
    let backend = Backend::start(&[(Period::Day, 0)]).await;
    let media_type = Some("application/vnd.3scale-v2.0+xml");
    let authorize = format!("/transactions/authorize.xml?{PROVIDER}&user_key=");
    let policy = Some("default-src 'self'");
    for (path, status, expected) in [
        (format!("{authorize}ukey"), 200, policy),
        (format!("{authorize}ukey&usage[hits]=1"), 409, policy),
        (format!("{authorize}nobody"), 403, None),
        ("/transactions/authorize.json".to_owned(), 404, None),
    ] {
        let reply = ask(&backend, "GET", &path, "");
        assert_eq!(reply.status, status, "{path}");
        assert_eq!(reply.field("content-type"), media_type, "{path}");
        assert_eq!(reply.field("content-security-policy"), expected, "{path}");
    }
    let reply = ask(&backend, "POST", &format!("{authorize}ukey"), "content-length: 0\r\n");
    assert_eq!((reply.status, reply.body.as_str()), (404, ""));
    assert_eq!(ask(&backend, "HEAD", "/available", "").status, 200);
    let reply = ask(&backend, "OPTIONS", "/any/path", "");
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-expose-headers", "ETag, Link, 3scale-rejection-reason"),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(reply.field(name), Some(value));
    }
    assert!(reply.field("access-control-allow-headers").unwrap().contains("3scale-options"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_in_several_parts_counts_like_any_other() {
    let backend = Backend::start(&[(Period::Eternity, 10)]).await;
    let parts = [
        ("provider_key", "pk"),
        ("transactions[0][user_key]", "ukey"),
        ("transactions[0][usage][hits]", "4"),
    ];
    let part = |(name, value): &(&str, &str)| {
        format!("--x\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let body = format!("{}--x--\r\n", parts.iter().map(part).collect::<String>());
    let report = |media_type: &str, body: &str| {
        let length = body.len();
        let fields = format!(
            "content-type: {media_type}\r\ncontent-length: {length}\r\nconnection: close\r\n"
        );
        let head = format!("POST /transactions.xml HTTP/1.1\r\nhost: b\r\n{fields}\r\n");
        exchange(backend.address(), &format!("{head}{body}"))
    };
    assert_eq!(report("multipart/form-data; boundary=x", &body).status, 202);
    assert!(backend.authrep("usage[hits]=0").body.contains("<current_value>4<"));
    let cut = report("multipart/form-data; boundary=x", &body[..body.len() - 8]);
    assert!(cut.status == 400 && cut.body.contains("code=\"bad_request\""), "{}", cut.body);
    // Without a boundary there are no parts, so nobody says who reports.
    assert_eq!(report("multipart/form-data", &body).status, 403);
    let json = report("application/json", "{}");
    assert!(
        json.status == 400 && json.body.contains("code=\"content_type_invalid\""),
        "{}",
        json.body
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_count_that_cannot_be_recorded_is_not_answered() {
    let backend = Backend::start(&[(Period::Eternity, 10)]).await;
    backend.store.close();
    let reply = backend.authrep("usage[hits]=1");
    assert_eq!((reply.status, reply.body.as_str()), (503, ""));
    assert_eq!(reply.field("retry-after"), Some("5"));
    let transaction = "transactions[0][user_key]=ukey&transactions[0][usage][hits]=1";
    assert_eq!(backend.report(&format!("{PROVIDER}&{transaction}")).status, 503);
    let authorize = format!("/transactions/authorize.xml?{PROVIDER}&user_key=ukey&usage[hits]=10");
    assert_eq!(
        backend.get(&authorize).status,
        200,
        "nothing was counted, and asking needs no disk"
    );
}
