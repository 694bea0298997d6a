//! What counts as a write in the budgets of Keystile: ten a day, of each key on the plan `open`.

use keystile_threescale::account::own_principal;
use keystile_threescale::account::record::MetricRecord;

use crate::fixture::{Backend, PROVIDER, exchange};

/// One whose user key is a key of the gate, and whose metric `create` is below `post`, which is a write.
async fn backend() -> Backend {
    let backend = Backend::start(&[]).await;
    let create = MetricRecord {
        id: "3".to_owned(),
        name: "create".to_owned(),
        parent_id: Some("2".to_owned()),
    };
    let with_create = |service: Option<keystile_threescale::account::record::ServiceRecord>| {
        let mut service = service?;
        service.metrics.push(create);
        Some(service)
    };
    backend.account.change_service(&own_principal(), "7", with_create).await.unwrap();
    backend.import_key("ukey").await;
    backend
}

fn statuses<const N: usize>(backend: &Backend, usages: [&str; N]) -> [u16; N] {
    usages.map(|usage| backend.authrep(usage).status)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_amount_that_is_set_is_so_many_writes() {
    let backend = backend().await;
    let usages = ["usage[post]=%234", "usage[post]=%230", "usage[post]=%236", "usage[post]=1"];
    assert_eq!(statuses(&backend, usages), [200, 200, 200, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_below_a_write_is_a_write_and_one_above_it_is_none() {
    let backend = backend().await;
    let usages = [
        "usage[create]=4",
        "usage[hits]=50",
        "usage[create]=3&usage[post]=2&usage[hits]=9",
        "usage[create]=1",
        "usage[hits]=1",
        "usage[post]=1",
        "usage[hits]=1",
    ];
    assert_eq!(statuses(&backend, usages), [200, 200, 200, 200, 200, 409, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_flat_usage_a_metric_is_a_write_only_where_it_is_named() {
    let backend = backend().await;
    let call = format!(
        "GET /transactions/authrep.xml?{PROVIDER}&user_key=ukey&usage[create]=50 HTTP/1.1\r\nhost: b\r\n\
         connection: close\r\n3scale-options: flat_usage=1\r\n\r\n"
    );
    assert_eq!(exchange(backend.address(), &call).status, 200);
    assert_eq!(statuses(&backend, ["usage[post]=10", "usage[post]=1"]), [200, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_in_no_write_budget() {
    let backend = backend().await;
    let report =
        format!("{PROVIDER}&transactions[0][user_key]=ukey&transactions[0][usage][post]=50");
    assert_eq!(backend.report(&report).status, 202);
    assert_eq!(statuses(&backend, ["usage[post]=10", "usage[post]=1"]), [200, 409]);
}
