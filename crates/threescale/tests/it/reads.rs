//! What the portal has arrives whole.

use keystile_threescale::portal::ApplicationReference;
use keystile_threescale::portal::error::PortalError;
use keystile_threescale::portal::page::PageNumber;
use keystile_threescale::portal::records::{
    AccountId, ApplicationId, ApplicationState, Authentication, Credential, Environment, MetricId,
    PlanId, ServiceId, TokenPermission,
};
use keystile_threescale_standin::tenant::{AccessToken, BackendVersion, Permission};
use serde_json::json;

use crate::setup::{TestPortal, tenant};

#[tokio::test]
async fn a_service_is_read_with_its_plans_metrics_limits_and_rules() {
    let test = TestPortal::start().await;
    let (client, ids) = (&test.client, test.ids);
    let service = ServiceId::new(ids.service);

    let services = client.services().await.unwrap();
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].id, service);
    assert_eq!(services[0].name, "Bookmarks");
    assert_eq!(services[0].system_name, "bookmarks");
    assert_eq!(services[0].authentication, Authentication::UserKey);

    let plans = client.application_plans(service).await.unwrap();
    let plans = plans.iter().map(|plan| (plan.id.get(), plan.name.as_str())).collect::<Vec<_>>();
    assert_eq!(plans, [(ids.plan, "Basic"), (ids.other_plan, "Unlimited")]);

    let metrics = client.metrics(service).await.unwrap();
    let named = metrics.iter().map(|metric| (metric.system_name.as_str(), metric.parent));
    let hits = MetricId::new(ids.hits);
    assert_eq!(named.collect::<Vec<_>>(), [("hits", None), ("writes", Some(hits))]);
    let methods = client.methods(service, hits).await.unwrap();
    assert_eq!(methods[0].id.get(), ids.writes);
    assert_eq!(methods[0].parent, Some(hits));

    let limits = client.usage_limits(PlanId::new(ids.plan)).await.unwrap();
    assert_eq!(limits.len(), 1);
    assert_eq!((limits[0].period.as_str(), limits[0].value), ("day", 10));
    assert_eq!(limits[0].metric.get(), ids.writes);
    assert!(client.usage_limits(PlanId::new(ids.other_plan)).await.unwrap().is_empty());

    let rules = client.mapping_rules(service).await.unwrap();
    assert_eq!((rules[0].http_method.as_str(), rules[0].delta), ("DELETE", 1));
    assert_eq!(rules[0].pattern, "/bookmarks/{id}");
    assert_eq!((rules[0].position, rules[0].last), (Some(1), false));
}

#[tokio::test]
async fn an_application_is_found_by_each_of_its_names() {
    let (mut tenant, ids) = tenant();
    let other_service = tenant.add_service("Photos", BackendVersion::AppId);
    let plan = tenant.add_plan(other_service, "Basic");
    let with_id = tenant.add_application(ids.account, plan, "Viewer");
    tenant.application_mut(ids.application).user_key = "a key & more=1".to_owned();
    tenant.application_mut(with_id).keys = vec!["one".to_owned(), "two".to_owned()];
    tenant.add_referrer(with_id, "*.acme.example");
    let test = TestPortal::with(tenant, ids).await;
    let find = async |reference, service: Option<u64>| {
        test.client.find_application(&reference, service.map(ServiceId::new)).await
    };

    let by_id = find(ApplicationReference::Id(test.application()), None).await.unwrap();
    assert_eq!(by_id.state, ApplicationState::Live);
    assert_eq!((by_id.account.get(), by_id.enabled), (ids.account, true));
    assert_eq!(by_id.name.as_deref(), Some("Importer"));
    assert_eq!(by_id.first_traffic_at, None);
    let key = || Credential::new("a key & more=1".to_owned());
    let by_key = find(ApplicationReference::UserKey(key()), Some(ids.service)).await.unwrap();
    assert_eq!(by_key, by_id);
    assert_eq!(by_key.user_key, Some(key()));

    let app_id = format!("app-{with_id}");
    let by_app_id =
        find(ApplicationReference::AppId(app_id.clone()), Some(other_service)).await.unwrap();
    assert_eq!((by_app_id.app_id, by_app_id.user_key), (Some(app_id), None));
    for (reference, service) in [
        (ApplicationReference::UserKey(key()), Some(other_service)),
        (ApplicationReference::UserKey(Credential::new(format!("key-{with_id}"))), None),
        (ApplicationReference::AppId(format!("app-{}", ids.application)), None),
        (ApplicationReference::Id(ApplicationId::new(999)), None),
    ] {
        let fault = find(reference, service).await.unwrap_err();
        assert!(matches!(fault, PortalError::NotFound { .. }), "{fault}");
    }

    let (account, with_id) = (AccountId::new(ids.account), ApplicationId::new(with_id));
    let keys = test.client.application_keys(account, with_id).await.unwrap();
    let keys = keys.iter().map(|key| key.value.reveal()).collect::<Vec<_>>();
    assert_eq!(keys, ["one", "two"]);
    let filters = test.client.referrer_filters(account, with_id).await.unwrap();
    assert_eq!(filters[0].value, "*.acme.example");
}

#[tokio::test]
async fn a_long_list_comes_page_by_page_and_each_record_once() {
    let (mut tenant, ids) = tenant();
    let other = tenant.add_service("Photos", BackendVersion::UserKey);
    let other_plan = tenant.add_plan(other, "Basic");
    tenant.add_application(ids.account, other_plan, "Elsewhere");
    for number in 0..1000 {
        tenant.add_application(ids.account, ids.plan, &format!("Client {number}"));
    }
    for number in 0..499 {
        tenant.add_account(&format!("Org {number}"));
    }
    let test = TestPortal::with(tenant, ids).await;

    let mut found = Vec::new();
    let mut sizes = Vec::new();
    let mut next = Some(PageNumber::FIRST);
    while let Some(number) = next {
        let service = Some(ServiceId::new(ids.service));
        let page = test.client.applications(service, number).await.unwrap();
        sizes.push(page.records.len());
        found.extend(page.records.into_iter().map(|application| application.id));
        next = page.next;
    }
    assert_eq!(sizes, [500, 500, 1]);
    found.dedup();
    assert_eq!(found.len(), 1001);
    assert!(found.is_sorted());

    // Exactly one page: there is no telling from its size, and the next one is empty.
    let page = test.client.accounts(PageNumber::FIRST).await.unwrap();
    assert_eq!(page.records.len(), 500);
    assert_eq!(page.records[0].org_name.as_deref(), Some("Acme Ltd"));
    let page = test.client.accounts(page.next.unwrap()).await.unwrap();
    assert!(page.records.is_empty() && page.next.is_none());
}

#[tokio::test]
async fn a_list_that_is_read_as_a_whole_has_all_its_pages() {
    let (mut tenant, ids) = tenant();
    for number in 0..750 {
        tenant.add_service(&format!("Service {number}"), BackendVersion::UserKey);
    }
    let test = TestPortal::with(tenant, ids).await;
    assert_eq!(test.client.services().await.unwrap().len(), 751);
    assert_eq!(test.portal.take_received().len(), 2);
}

#[tokio::test]
async fn the_newest_configuration_of_an_environment_is_read() {
    let (mut tenant, ids) = tenant();
    tenant.add_config(ids.service, "production", json!({ "proxy": { "hosts": ["old.example"] } }));
    tenant.add_config(ids.service, "production", json!({ "proxy": { "hosts": ["new.example"] } }));
    let test = TestPortal::with(tenant, ids).await;
    let service = ServiceId::new(ids.service);
    let config = test.client.proxy_config(service, Environment::Production).await.unwrap();
    assert_eq!((config.version, config.environment.as_str()), (2, "production"));
    assert_eq!(config.content["proxy"]["hosts"][0], "new.example");
    let fault = test.client.proxy_config(service, Environment::Sandbox).await.unwrap_err();
    assert!(matches!(fault, PortalError::NotFound { .. }), "{fault}");
}

#[tokio::test]
async fn the_tokens_of_the_user_are_told_with_their_rights() {
    let (mut tenant, ids) = tenant();
    tenant.add_token(AccessToken {
        name: "Reports".to_owned(),
        scopes: vec!["stats".to_owned()],
        permission: Permission::ReadOnly,
        expires_at: Some("2027-01-01T00:00:00Z".to_owned()),
        ..AccessToken::new("another-token")
    });
    let of_another = AccessToken { owner: "bob".to_owned(), ..AccessToken::new("bobs-token") };
    tenant.add_token(of_another);
    let test = TestPortal::with(tenant, ids).await;
    let tokens = test.client.access_tokens().await.unwrap();
    assert_eq!(tokens.len(), 2);
    assert!(tokens[0].may_manage_accounts());
    assert_eq!(tokens[0].expires_at, None);
    assert!(!tokens[1].may_manage_accounts());
    assert_eq!(tokens[1].name.as_deref(), Some("Reports"));
    assert_eq!(tokens[1].permission, TokenPermission::ReadOnly);
    assert_eq!(tokens[1].expires_at.as_deref(), Some("2027-01-01T00:00:00Z"));
}
