//! The token goes only where the owner's trust goes.

use keystile_core::notifications::channel::SecretSource;
use keystile_threescale::portal::PortalClient;
use keystile_threescale::portal::error::{PortalError, Retry};
use keystile_threescale::portal::settings::PortalSettings;
use keystile_threescale_standin::Portal;

use crate::setup::{TOKEN, TestPortal, tenant};

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_gets_no_token() {
    let test = TestPortal::start().await;
    let mut settings = test.settings();
    settings.ca_file = None;
    let error = PortalClient::new(settings).unwrap().services().await.unwrap_err();
    assert!(matches!(error, PortalError::Untrusted { .. }), "{error}");
    assert!(error.to_string().contains("name its certificate in `ca_file`"), "{error}");
    assert_eq!(error.retry_after(), Retry::Later);
    assert!(test.portal.take_received().is_empty());
}

#[tokio::test]
async fn a_certificate_for_another_name_gets_no_token() {
    let test = TestPortal::start().await;
    let mut settings = test.settings();
    settings.address = test.portal.address().replace("localhost", "127.0.0.1").parse().unwrap();
    let error = PortalClient::new(settings).unwrap().services().await.unwrap_err();
    assert!(matches!(error, PortalError::Untrusted { .. }), "{error}");
    assert!(test.portal.take_received().is_empty());
}

#[tokio::test]
async fn certificates_that_cannot_be_used_are_told_at_the_start() {
    let test = TestPortal::start().await;
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    std::fs::write(test.file("broken.pem"), broken).unwrap();
    std::fs::write(test.file("empty.pem"), "").unwrap();
    for name in ["broken.pem", "empty.pem", "missing.pem"] {
        let mut settings = test.settings();
        settings.ca_file = Some(test.file(name));
        let error = PortalClient::new(settings).unwrap_err().to_string();
        assert!(error.contains(name) && error.contains("cannot be used"), "{error}");
    }
}

#[tokio::test]
async fn plain_http_reaches_this_machine() {
    let (tenant, _) = tenant();
    let portal = Portal::start_plain(tenant).await;
    let files = tempfile::tempdir().unwrap();
    std::fs::write(files.path().join("token"), TOKEN).unwrap();
    let token = SecretSource::File(files.path().join("token"));
    let settings = PortalSettings::new(portal.address().parse().unwrap(), token);
    let client = PortalClient::new(settings).unwrap();
    assert_eq!(client.services().await.unwrap().len(), 1);
}
