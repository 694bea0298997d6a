//! A tenant with something in it, its portal, and a client.

use std::path::PathBuf;
use std::time::Duration;

use keystile_core::notifications::channel::SecretSource;
use keystile_threescale::portal::PortalClient;
use keystile_threescale::portal::records::ApplicationId;
use keystile_threescale::portal::settings::PortalSettings;
use keystile_threescale_standin::Portal;
use keystile_threescale_standin::tenant::{BackendVersion, Tenant};
use tempfile::TempDir;

pub(crate) const TOKEN: &str = "b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01b0bafe77c0ffee01";

/// The numbers of what the tenant has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ids {
    pub(crate) service: u64,
    pub(crate) hits: u64,
    pub(crate) writes: u64,
    pub(crate) plan: u64,
    pub(crate) other_plan: u64,
    pub(crate) account: u64,
    pub(crate) application: u64,
}

/// A service that goes by user keys, with a plan that has a limit, and an application on it.
pub(crate) fn tenant() -> (Tenant, Ids) {
    let mut tenant = Tenant::with_token(TOKEN);
    let service = tenant.add_service("Bookmarks", BackendVersion::UserKey);
    let hits = tenant.hits(service);
    let writes = tenant.add_method(service, hits, "writes");
    let plan = tenant.add_plan(service, "Basic");
    let other_plan = tenant.add_plan(service, "Unlimited");
    tenant.add_limit(plan, writes, "day", 10);
    tenant.add_rule(service, writes, "DELETE", "/bookmarks/{id}", 1);
    let account = tenant.add_account("Acme Ltd");
    let application = tenant.add_application(account, plan, "Importer");
    (tenant, Ids { service, hits, writes, plan, other_plan, account, application })
}

/// A portal, and a client that trusts it.
pub(crate) struct TestPortal {
    pub(crate) portal: Portal,
    pub(crate) client: PortalClient,
    pub(crate) ids: Ids,
    files: TempDir,
}

impl TestPortal {
    pub(crate) async fn start() -> Self {
        let (tenant, ids) = tenant();
        Self::with(tenant, ids).await
    }

    pub(crate) async fn with(tenant: Tenant, ids: Ids) -> Self {
        let portal = Portal::start(tenant).await;
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("token"), format!("{TOKEN}\n")).unwrap();
        std::fs::write(files.path().join("ca.pem"), portal.certificate_pem().unwrap()).unwrap();
        let client = PortalClient::new(settings(&portal, &files)).unwrap();
        Self { portal, client, ids, files }
    }

    pub(crate) fn settings(&self) -> PortalSettings {
        settings(&self.portal, &self.files)
    }

    /// Another token in the place of the first.
    pub(crate) fn write_token(&self, token: &str) {
        std::fs::write(self.files.path().join("token"), token).unwrap();
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    pub(crate) fn application(&self) -> ApplicationId {
        ApplicationId::new(self.ids.application)
    }
}

fn settings(portal: &Portal, files: &TempDir) -> PortalSettings {
    let token = SecretSource::File(files.path().join("token"));
    let mut settings = PortalSettings::new(portal.address().parse().unwrap(), token);
    settings.ca_file = Some(files.path().join("ca.pem"));
    settings.total_timeout = Duration::from_secs(5);
    settings
}
