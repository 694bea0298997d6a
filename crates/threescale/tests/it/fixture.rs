//! A backend with one service, and a client that reads all of an answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use keystile_core::actor::Actor;
use keystile_core::keys::key::KeyId;
use keystile_core::keys::lock::{Budgets, LockLevel};
use keystile_core::version::Expected;
use keystile_engine::Engine;
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use keystile_store::keys::{ImportedKey, KeyEdit, KeyRef, NewKeyRow, NewLock};
use keystile_threescale::account::record::{
    ApplicationRecord, Brought, LimitRecord, MetricRecord, ServiceRecord,
};
use keystile_threescale::account::{Account, MirrorRule, WriteRule, own_principal};
use keystile_threescale::backend::period::Period;
use keystile_threescale::server::{BackendServer, BackendSettings, GatewaySettings, InternalUser};
use tempfile::TempDir;
use uuid::Uuid;

use crate::policy::{policy, settings};

/// The password of the internal API, for the user `internal`.
pub(crate) const PASSWORD: &str = "the password of the internal API";

/// What gateways show for their configuration, and what that has them show.
pub(crate) const GATEWAY_TOKEN: &str = "the-token-of-gateways";
pub(crate) const GATEWAY_SERVICE_TOKEN: &str = "the-service-token-of-gateways";

pub(crate) const PROVIDER: &str = "provider_key=pk";

fn gateways() -> GatewaySettings {
    GatewaySettings {
        token: GATEWAY_TOKEN.to_owned(),
        service_token: GATEWAY_SERVICE_TOKEN.to_owned(),
        backend: None,
    }
}

/// A backend that serves.
pub(crate) struct Backend {
    pub(crate) account: Arc<Account>,
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<Store>,
    server: BackendServer,
    pub(crate) folder: TempDir,
}

pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines();
        lines.find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }
}

impl Backend {
    /// With the service 7 by user keys, whose application `a` has the user key `ukey` and limits on `hits`.
    pub(crate) async fn start(limits: &[(Period, u64)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backend = Self::open(folder).await;
        backend.make_service("1", limits).await;
        backend.make_application("a", "ukey").await;
        backend
    }

    pub(crate) async fn open(folder: TempDir) -> Self {
        let user = internal();
        Self::open_for(folder, Some(user), None).await
    }

    /// One whose applications are here as well, on the plan `open`; those on the plan `Gold` are on `strict`.
    pub(crate) async fn open_mirrored(folder: TempDir) -> Self {
        let user = internal();
        let plans = [("Gold".to_owned(), "strict".to_owned())].into();
        let mirror = MirrorRule { plans, default_plan: Some("open".to_owned()) };
        Self::open_for(folder, Some(user), Some(mirror)).await
    }

    pub(crate) async fn open_for(
        folder: TempDir,
        internal: Option<InternalUser>,
        mirror: Option<MirrorRule>,
    ) -> Self {
        let (store, _) = Store::open(DataDirectory::hold(folder.path()).unwrap()).unwrap();
        let engine = Arc::new(Engine::new(store.clone(), policy(), settings()));
        let writes = WriteRule { api: "notes".to_owned(), metrics: vec!["post".to_owned()] };
        let account = Account::open(engine.clone(), Some(writes), mirror).await.unwrap();
        account.follow_all().await.unwrap();
        let settings = BackendSettings {
            listen: "127.0.0.1:0".parse().unwrap(),
            gateways: internal.as_ref().map(|_| gateways()),
            internal,
            writes: None,
            mirror: None,
            tls: None,
            threads: 2,
        };
        let server = BackendServer::start(&account, &settings, None).unwrap();
        Self { account, engine, store, server, folder }
    }

    pub(crate) async fn make_service(&self, version: &str, limits: &[(Period, u64)]) {
        let metric = |id: &str, name: &str, parent: Option<&str>| MetricRecord {
            id: id.to_owned(),
            name: name.to_owned(),
            parent_id: parent.map(str::to_owned),
        };
        let limit = |(period, max): &(Period, u64)| LimitRecord {
            plan_id: "p".to_owned(),
            metric_id: "1".to_owned(),
            period: *period,
            max: *max,
        };
        let record = ServiceRecord {
            id: "7".to_owned(),
            provider: self.account.provider_secret("pk"),
            is_default: true,
            backend_version: version.to_owned(),
            state: "active".to_owned(),
            referrer_filters_required: false,
            metrics: vec![metric("1", "hits", None), metric("2", "post", Some("1"))],
            limits: limits.iter().map(limit).collect(),
            tokens: vec![self.account.provider_secret("token")],
            alert_limits: vec![50, 100],
            brought: Brought::default(),
        };
        self.account.change_service(&own_principal(), "7", |_| Some(record)).await.unwrap();
    }

    /// Another service of the same provider, without metrics.
    pub(crate) async fn make_service_named(&self, id: &str, version: &str) {
        let record = ServiceRecord {
            id: id.to_owned(),
            provider: self.account.provider_secret("pk"),
            is_default: false,
            backend_version: version.to_owned(),
            state: "active".to_owned(),
            referrer_filters_required: false,
            metrics: Vec::new(),
            limits: Vec::new(),
            tokens: Vec::new(),
            alert_limits: Vec::new(),
            brought: Brought::default(),
        };
        self.account.change_service(&own_principal(), id, |_| Some(record)).await.unwrap();
    }

    pub(crate) async fn make_application(&self, id: &str, user_key: &str) {
        let record = ApplicationRecord {
            service_id: "7".to_owned(),
            id: id.to_owned(),
            name: None,
            state: "active".to_owned(),
            plan_id: "p".to_owned(),
            plan_name: "Basic & <more>".to_owned(),
            user_key: Some(self.account.key(user_key)),
            keys: Vec::new(),
            referrer_filters: Vec::new(),
            redirect_url: None,
        };
        self.account.change_application(&own_principal(), "7", id, |_| Some(record)).await.unwrap();
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops as a process that is killed does: nothing is written any more.
    pub(crate) fn killed(self) -> TempDir {
        let Self { account, store, server, folder, .. } = self;
        server.stop();
        let copy = tempfile::tempdir().unwrap();
        copy_files(folder.path(), copy.path());
        drop(account);
        store.close();
        copy
    }

    /// Takes a user key over as a key of the gate.
    pub(crate) async fn import_key(&self, text: &str) -> KeyRef {
        self.import_key_on("open", text).await
    }

    /// A key of the application `reader` on a plan of the gate.
    pub(crate) async fn import_key_on(&self, plan: &str, text: &str) -> KeyRef {
        let key = NewKeyRow {
            id: KeyId::new(Uuid::now_v7()),
            hash: self.store.pepper().hash(text.as_bytes()),
            prefix: "uk".to_owned(),
            plan: plan.to_owned(),
            origin: Some("3scale".to_owned()),
        };
        let new = ImportedKey { application: "reader".to_owned(), key, note: None };
        KeyRef::Named(self.store.import_key(new, Actor::System).await.unwrap().id)
    }

    pub(crate) async fn lock(&self, key: &KeyRef) {
        let lock = NewLock { level: LockLevel::Writes, reason: "a test".to_owned(), span: None };
        self.store.lock_key(edit(key), lock).await.unwrap();
    }

    pub(crate) async fn unlock(&self, key: &KeyRef) {
        self.store.unlock_key(edit(key), Budgets::Keep).await.unwrap();
    }

    pub(crate) fn get(&self, path: &str) -> Reply {
        exchange(
            self.address(),
            &format!("GET {path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\r\n"),
        )
    }

    pub(crate) fn authrep(&self, more: &str) -> Reply {
        self.get(&format!("/transactions/authrep.xml?{PROVIDER}&user_key=ukey&{more}"))
    }

    pub(crate) fn report(&self, form: &str) -> Reply {
        let length = form.len();
        let head = format!(
            "POST /transactions.xml HTTP/1.1\r\nhost: b\r\nconnection: close\r\n\
             content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n\r\n"
        );
        exchange(self.address(), &format!("{head}{form}"))
    }
}

fn internal() -> InternalUser {
    InternalUser { user: "internal".to_owned(), password: PASSWORD.to_owned(), remote: false }
}

fn edit(key: &KeyRef) -> KeyEdit {
    KeyEdit { key: key.clone(), expected: Expected::Any, actor: Actor::System }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

pub(crate) fn exchange(address: SocketAddr, request: &str) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}
