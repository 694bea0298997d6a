//! What gateways rely on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use keystile_threescale::account::event::EventKind;
use keystile_threescale::account::own_principal;
use keystile_threescale::backend::period::Period;

use crate::fixture::{Backend, PROVIDER, exchange};

fn current(body: &str) -> &str {
    let (_, rest) = body.split_once("<current_value>").unwrap();
    rest.split_once('<').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn authrep_counts_and_says_no_beyond_the_limit() {
    let backend = Backend::start(&[(Period::Eternity, 3)]).await;
    let first = backend.authrep("usage[post]=2");
    assert_eq!(first.status, 200);
    assert_eq!(first.field("content-type"), Some("application/vnd.3scale-v2.0+xml"));
    assert_eq!(
        first.body,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><status><authorized>true</authorized>\
         <plan>Basic &amp; &lt;more&gt;</plan><usage_reports><usage_report metric=\"hits\" \
         period=\"eternity\"><max_value>3</max_value><current_value>2</current_value>\
         </usage_report></usage_reports></status>"
    );
    let beyond = backend.authrep("usage[hits]=2");
    assert_eq!(beyond.status, 409);
    assert!(beyond.body.contains("<reason>usage limits are exceeded</reason>"), "{}", beyond.body);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    let asked = format!("/transactions/authorize.xml?{PROVIDER}&user_key=ukey&usage[hits]=1");
    assert_eq!(backend.get(&asked).status, 409, "nothing is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_parallelism_passes_a_limit() {
    for _ in 0..10 {
        let backend = Backend::start(&[(Period::Eternity, 100)]).await;
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..32 {
                scope.spawn(|| {
                    for _ in 0..13 {
                        if backend.authrep("usage[hits]=1").status == 200 {
                            passed.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 100);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_rests_on_outlives_a_crash() {
    let backend = Backend::start(&[(Period::Month, 1_000), (Period::Eternity, 1_000)]).await;
    for _ in 0..20 {
        assert_eq!(backend.authrep("usage[hits]=3").status, 200);
    }
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(current(&backend.authrep("usage[hits]=1").body), "61");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_is_counted_before_it_is_answered_and_one_error_voids_all_of_it() {
    let backend = Backend::start(&[(Period::Eternity, 1_000)]).await;
    let transaction = |number: usize, key: &str| {
        format!("transactions[{number}][user_key]={key}&transactions[{number}][usage][hits]=1&")
    };
    let form = |keys: &[&str]| {
        let all: String =
            keys.iter().enumerate().map(|(number, key)| transaction(number, key)).collect();
        format!("{PROVIDER}&{all}")
    };
    let reply = backend.report(&form(&["ukey"; 500]));
    assert_eq!((reply.status, reply.body.as_str()), (202, ""));
    assert_eq!(current(&backend.authrep("usage[hits]=0").body), "500");
    assert_eq!(backend.report(&form(&["ukey", "nobody"])).status, 202);
    assert_eq!(current(&backend.authrep("usage[hits]=0").body), "500");
    let errors = backend.account.errors.list();
    assert_eq!(errors[0].1.code, "user_key_invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn first_traffic_and_reached_levels_are_told_once() {
    let backend = Backend::start(&[(Period::Day, 10)]).await;
    for _ in 0..10 {
        backend.authrep("usage[hits]=1");
    }
    let kinds: Vec<String> = backend
        .account
        .events
        .list()
        .into_iter()
        .map(|(_, event)| match event.kind {
            EventKind::FirstTraffic => "first".to_owned(),
            EventKind::FirstDailyTraffic => "first today".to_owned(),
            EventKind::Alert { utilization, limit, .. } => format!("{utilization}: {limit}"),
        })
        .collect();
    let expected = ["first", "first today", "50: hits per day: 5/10", "100: hits per day: 10/10"];
    assert_eq!(kinds, expected);
    backend.account.save().await.unwrap();
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(backend.account.events.list().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_call_is_answered_as_the_reference_does() {
    let backend = Backend::start(&[]).await;
    for (path, status, body) in [
        ("/check.txt", 200, "ok"),
        ("/status", 200, r#"{"status":"ok","version":{"backend":"3.4.3"}}"#),
        ("/available", 200, ""),
        ("/transactions/authorize.json", 404, ""),
    ] {
        let reply = backend.get(path);
        assert_eq!((reply.status, reply.body.as_str()), (status, body), "{path}");
        let head = format!("HEAD {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
        let reply = exchange(backend.address(), &head);
        assert_eq!((reply.status, reply.body.as_str()), (status, ""), "HEAD {path}");
    }
    let asked = format!("/transactions/authorize.xml?{PROVIDER}&user_key=ukey");
    let head = format!("HEAD {asked} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n");
    assert_eq!(exchange(backend.address(), &head).status, 200);
    let options =
        "OPTIONS /transactions/authrep.xml HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n";
    let reply = exchange(backend.address(), options);
    assert_eq!(reply.status, 204);
    assert_eq!(reply.field("access-control-allow-origin"), Some("*"));
    let token = "/transactions/authorize.xml?service_token=wrong&service_id=7&user_key=ukey";
    let reply = backend.get(token);
    assert_eq!(reply.status, 403);
    assert!(reply.body.contains("code=\"service_token_invalid\""), "{}", reply.body);
    assert_eq!(backend.get(&token.replace("wrong", "token")).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_holds_up_nobody() {
    let backend = Backend::start(&[]).await;
    let slow: Vec<_> =
        (0..64).map(|_| std::net::TcpStream::connect(backend.address()).unwrap()).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_whose_key_is_locked_in_keystile_is_not_active_on_the_next_call() {
    let backend = Backend::start(&[(Period::Eternity, 10)]).await;
    let imported = backend.import_key("ukey").await;
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    backend.lock(&imported).await;
    let reply = backend.authrep("usage[hits]=1");
    assert_eq!(reply.status, 409);
    assert!(reply.body.contains("<reason>application is not active</reason>"), "{}", reply.body);
    backend.unlock(&imported).await;
    assert_eq!(current(&backend.authrep("usage[hits]=1").body), "2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_application_has_used_stays_when_its_service_or_plan_changes() {
    let backend = Backend::start(&[(Period::Eternity, 10)]).await;
    assert_eq!(backend.authrep("usage[hits]=4").status, 200);
    backend.make_service("1", &[(Period::Eternity, 5), (Period::Day, 100)]).await;
    assert_eq!(backend.authrep("usage[hits]=2").status, 409);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    backend.make_application("a", "another").await;
    assert_eq!(backend.authrep("usage[hits]=1").status, 403, "its key is another now");
    let reply = backend.get(&format!("/transactions/authrep.xml?{PROVIDER}&user_key=another"));
    assert!(reply.body.contains("<current_value>5</current_value>"), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_amount_is_kept_also_where_it_is_smaller() {
    let backend = Backend::start(&[(Period::Eternity, 100)]).await;
    assert_eq!(backend.authrep("usage[hits]=50").status, 200);
    assert_eq!(backend.authrep("usage[hits]=%237").status, 200);
    assert_eq!(backend.authrep("usage[hits]=1").status, 200);
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(current(&backend.authrep("usage[hits]=0").body), "8");
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_count_in_the_budget_of_the_keys_plan_and_the_one_too_many_locks() {
    let backend = Backend::start(&[(Period::Eternity, 100)]).await;
    assert_eq!(backend.authrep("usage[post]=30").status, 200, "no key of the gate is its own yet");
    let key = backend.import_key("ukey").await;
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..3 {
                    if backend.authrep("usage[post]=1").status == 200 {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 10, "the budget is ten a day");
    let reply = backend.authrep("usage[hits]=1");
    assert_eq!(reply.status, 409, "the key is locked, whatever is asked");
    assert!(reply.body.contains("<reason>application is not active</reason>"), "{}", reply.body);
    backend.unlock(&key).await;
    assert_eq!(
        current(&backend.authrep("usage[hits]=1").body),
        "41",
        "what was refused is not counted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_of_several_keys_count_together_in_a_budget_that_their_application_shares() {
    let backend = Backend::start(&[(Period::Eternity, 1_000)]).await;
    backend.make_application("b", "other").await;
    for user_key in ["ukey", "other"] {
        backend.import_key_on("team", user_key).await;
    }
    let passed = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for caller in 0..8 {
            let user_key = ["ukey", "other"][caller % 2];
            let (backend, passed) = (&backend, &passed);
            scope.spawn(move || {
                let call = format!(
                    "/transactions/authrep.xml?{PROVIDER}&user_key={user_key}&usage[post]=1"
                );
                for _ in 0..3 {
                    if backend.get(&call).status == 200 {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    assert_eq!(passed.into_inner(), 10, "ten a day, whichever key they come with");
    for user_key in ["ukey", "other"] {
        let call =
            format!("/transactions/authrep.xml?{PROVIDER}&user_key={user_key}&usage[hits]=1");
        let reply = backend.get(&call);
        assert_eq!(reply.status, 409);
        assert!(
            reply.body.contains("<reason>application is not active</reason>"),
            "{}",
            reply.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_limit_refuses_takes_nothing_from_a_write_budget() {
    let backend = Backend::start(&[(Period::Eternity, 3)]).await;
    backend.import_key("ukey").await;
    for _ in 0..20 {
        backend.authrep("usage[post]=1");
    }
    let reply = backend.authrep("usage[post]=1");
    assert!(reply.body.contains("<reason>usage limits are exceeded</reason>"), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_application_that_is_made_again_begins_anew_also_after_a_crash() {
    let backend = Backend::start(&[(Period::Eternity, 100)]).await;
    assert_eq!(backend.authrep("usage[hits]=50").status, 200);
    assert!(backend.account.delete_application(&own_principal(), "7", "a").await.unwrap());
    backend.make_application("a", "ukey").await;
    assert_eq!(current(&backend.authrep("usage[hits]=1").body), "1");
    assert!(backend.account.delete_service(&own_principal(), "7").await.unwrap());
    backend.make_service("1", &[(Period::Eternity, 100)]).await;
    backend.make_application("a", "ukey").await;
    let backend = Backend::open(backend.killed()).await;
    assert_eq!(current(&backend.authrep("usage[hits]=2").body), "2");
}
