//! A console on a store of its own, and the requests that are made to it.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode};
use keystile_core::budget::Per;
use keystile_core::journal::{Outcome, RequestFacts};
use keystile_core::keys::lock::{LockLevel, LockRule, LockUntil};
use keystile_core::keys::text::KeyPrefix;
use keystile_core::owners::owner::OwnerId;
use keystile_core::owners::principal::Principal;
use keystile_core::owners::scope::Scope;
use keystile_core::owners::secret::PasswordHash;
use keystile_core::policy::api::{ApiSpec, Mode, UpstreamRule};
use keystile_core::policy::operation::OperationRule;
use keystile_core::policy::{BudgetSpec, PlanSpec, Policy};
use keystile_core::refusal::Reason;
use keystile_core::request::credential::CredentialRule;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::audit::ListEvents;
use keystile_engine::command::Done;
use keystile_engine::keys::create::CreateKeys;
use keystile_engine::owners::claim::{ClaimLink, MakeClaimLink, NewOwner, OwnerCredential};
use keystile_engine::owners::session::{NewSession, SignInMethod};
use keystile_engine::owners::token::{CreateToken, RevokeToken};
use keystile_engine::{Engine, EngineSettings, Reloader};
use keystile_store::Store;
use keystile_store::files::DataDirectory;
use keystile_store::reservation::RefusedRecord;
use keystile_web::router::router;
use keystile_web::{Access, Peer, Web, WebSettings};
use rusqlite::Connection;
use serde_json::Value;
use tower::ServiceExt;
use uuid::Uuid;

pub(crate) struct TestConsole {
    folder: tempfile::TempDir,
    engine: Option<Arc<Engine>>,
    router: Router,
}

/// Somebody at the command line.
pub(crate) fn shell() -> Principal {
    Principal::CommandLine { account: "ada".to_owned() }
}

fn plan(name: &str, quotas: &[(&str, Per)]) -> PlanSpec {
    let budget = |(quota, per): &(&str, Per)| BudgetSpec {
        name: None,
        quota: quota.parse().unwrap(),
        on: Vec::new(),
        per: *per,
    };
    PlanSpec {
        name: name.to_owned(),
        is_keyless: false,
        allow: vec!["*: *".parse().unwrap()],
        write_budgets: quotas.iter().map(budget).collect(),
        rate_limits: Vec::new(),
        lock: LockRule::Lock { level: LockLevel::Writes, until: LockUntil::Unlocked },
    }
}

fn policy(more: Option<PlanSpec>) -> Policy {
    let api = ApiSpec {
        name: "notes".to_owned(),
        hosts: Vec::new(),
        path: String::new(),
        mode: Mode::Enforce,
        matrix_parameters: false,
        credential: CredentialRule::default(),
        body_bytes_max: None,
        count_bytes_max: 1024,
        upstream: UpstreamRule {
            origins: vec![http::Uri::from_static("http://127.0.0.1:1")],
            http2_prior_knowledge: false,
            trusted_certificates: None,
            connect_timeout: Span::from_secs(1),
            first_byte_timeout: Span::from_secs(1),
            total_timeout: None,
            keep_host: true,
            forward_credential: false,
        },
        operations: vec![OperationRule::new("DELETE /notes/{id}".parse().unwrap())],
    };
    let mut plans = vec![
        plan("open", &[("20 per day", Per::Key)]),
        plan("trusted", &[("1000 per day", Per::Key)]),
    ];
    plans.extend(more);
    Policy::new(vec![api], plans, jiff::tz::TimeZone::UTC)
}

fn engine_settings() -> EngineSettings {
    EngineSettings {
        key_prefix: KeyPrefix::default(),
        retention: None,
        key_failures: "20 per minute".parse().unwrap(),
        console_url: "http://localhost:7080".to_owned(),
        gate: vec!["127.0.0.1:7070".to_owned()],
        watching: Arc::default(),
    }
}

fn engine_on(folder: &std::path::Path) -> Arc<Engine> {
    let (store, _) = Store::open(DataDirectory::hold(folder).unwrap()).unwrap();
    Arc::new(Engine::new(store, policy(None), engine_settings()))
}

fn web_of(engine: &Arc<Engine>, port: u16) -> Arc<Web> {
    web_with(engine, port, |_| {})
}

fn web_with(engine: &Arc<Engine>, port: u16, change: impl FnOnce(&mut WebSettings)) -> Arc<Web> {
    let mut settings = WebSettings {
        url: None,
        listen: SocketAddr::from(([127, 0, 0, 1], port)),
        is_secure: false,
        behind_proxy: false,
        health: Access::Open,
        metrics: Access::Open,
        file: None,
        push_key: String::new(),
    };
    change(&mut settings);
    // Where another console was made on it before, it has one.
    let _ = engine.reloader.set(Reloader::new(|_, _| {
        Box::pin(async { Ok(Done("Read the configuration again.".to_owned())) })
    }));
    Web::new(engine.clone(), settings, || "keystile_keys 0\n".to_owned())
}

impl TestConsole {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let engine = engine_on(folder.path());
        Self { folder, router: router(web_of(&engine, 7080)), engine: Some(engine) }
    }

    /// One with a further plan, whose budgets count together whose writes they say.
    pub(crate) fn with_plan(name: &str, quotas: &[(&str, Per)]) -> Self {
        let console = Self::new();
        let policy = policy(Some(plan(name, quotas)));
        console.engine().replace_policy(policy, engine_settings());
        console
    }

    /// One with other settings.
    pub(crate) fn with(change: impl FnOnce(&mut WebSettings)) -> Self {
        let mut console = Self::new();
        console.router = router(web_with(console.engine(), 7080, change));
        console
    }

    /// What the session's cookie is called where the console listens on a port.
    pub(crate) fn cookie_name(&self, port: u16) -> String {
        web_of(self.engine(), port).session_cookie().to_owned()
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The same store in a new process, some time later.
    pub(crate) fn later(&mut self, millis: i64) {
        self.router = Router::new();
        self.engine.take().unwrap().store().close();
        let database = Connection::open(self.folder.path().join("keystile.db")).unwrap();
        let anchor: String = database
            .query_row("SELECT value FROM meta WHERE name = 'clock'", [], |row| row.get(0))
            .unwrap();
        let (boot, offset) = anchor.split_once(' ').unwrap();
        let later = format!("{boot} {}", offset.parse::<i64>().unwrap() + millis);
        database.execute("UPDATE meta SET value = ?1 WHERE name = 'clock'", [later]).unwrap();
        drop(database);
        let engine = engine_on(self.folder.path());
        self.router = router(web_of(&engine, 7080));
        self.engine = Some(engine);
    }

    /// A token that was made for a scope.
    pub(crate) async fn revoke_token(&self, name: &str) {
        let revoke = RevokeToken { token: name.to_owned() };
        self.engine().execute(&shell(), revoke).await.unwrap();
    }

    pub(crate) async fn token(&self, scope: Scope) -> String {
        self.token_until(&format!("{scope} {}", Uuid::now_v7()), scope, None).await
    }

    pub(crate) async fn token_until(
        &self,
        name: &str,
        scope: Scope,
        expires: Option<Timestamp>,
    ) -> String {
        let for_millis = expires.map(|expires| expires.millis_since(self.engine().store().now()));
        let new = CreateToken { name: name.to_owned(), scope, for_millis };
        let made = self.engine().execute(&shell(), new).await.unwrap();
        made.token.expose().to_owned()
    }

    pub(crate) async fn claim_link(&self) -> ClaimLink {
        self.engine().execute(&shell(), MakeClaimLink).await.unwrap()
    }

    /// An owner's cookie, signed in just now.
    pub(crate) async fn cookie(&self, name: &str) -> String {
        let link = self.claim_link().await;
        let new = NewOwner {
            name: name.to_owned(),
            handle: Uuid::now_v7(),
            credential: OwnerCredential::Password(PasswordHash::new("$argon2id$x".to_owned())),
        };
        let claimed = self.engine().claim(link.secret.expose(), new).await.unwrap();
        self.session(claimed.owner.id).await
    }

    /// The cookie of one more session of an owner.
    pub(crate) async fn session(&self, owner: OwnerId) -> String {
        let session = NewSession {
            owner,
            method: SignInMethod::Password,
            address: "192.0.2.7".parse().unwrap(),
            agent: "Firefox".to_owned(),
        };
        let secret = self.engine().begin_session(session).await.unwrap();
        format!("{}={}", self.cookie_name(7080), secret.expose())
    }

    /// The id of a new key.
    pub(crate) async fn key(&self, application: &str) -> String {
        let command = CreateKeys {
            application: application.to_owned(),
            plan: Some("open".to_owned()),
            count: 1,
        };
        self.engine().execute(&shell(), command).await.unwrap()[0].id.clone()
    }

    /// Refused requests that fill the journal.
    pub(crate) async fn refusals(&self, many: usize, path: &str) {
        let facts = RequestFacts {
            api: "notes".to_owned(),
            operation: "DELETE /notes/{id}".to_owned(),
            method: "DELETE".to_owned(),
            path: path.to_owned(),
            address: "2001:db8::1".parse().unwrap(),
            user_agent: None,
            request_bytes: None,
        };
        let one = RefusedRecord {
            key: None,
            facts,
            reason: Reason::KeyUnknown,
            outcome: Outcome::Refused,
            count: 1,
        };
        self.engine().store().record_refused(vec![one; many]);
        self.engine().store().flush().await.unwrap();
    }

    /// How many events there are, to see that nothing was done.
    pub(crate) async fn events(&self) -> usize {
        self.engine().execute(&shell(), ListEvents::default()).await.unwrap().len()
    }

    pub(crate) fn ask(&self, method: Method, path: &str) -> Ask {
        let peer: SocketAddr = "192.0.2.7:40000".parse().unwrap();
        let request = Request::builder().method(method).uri(path).header("host", "localhost:7080");
        Ask {
            router: self.router.clone(),
            request: request.extension(Peer(peer)),
            body: Body::empty(),
        }
    }

    pub(crate) fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    pub(crate) fn post(&self, path: &str) -> Ask {
        self.ask(Method::POST, path)
    }
}

/// A request that is being put together.
pub(crate) struct Ask {
    router: Router,
    request: http::request::Builder,
    body: Body,
}

impl Ask {
    pub(crate) fn header(self, name: &str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    /// To the console under another name.
    pub(crate) fn host(mut self, host: &str) -> Self {
        self.request.headers_mut().unwrap().insert("host", host.parse().unwrap());
        self
    }

    pub(crate) fn token(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// As a page of the console sends it.
    pub(crate) fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie).header("sec-fetch-site", "same-origin")
    }

    /// As a form of a page of the console sends it.
    pub(crate) fn form(self, fields: &[(&str, &str)]) -> Self {
        let body = serde_urlencoded::to_string(fields).unwrap();
        Self { body: body.into(), ..self }
            .header("content-type", "application/x-www-form-urlencoded")
    }

    pub(crate) fn from(self, address: &str) -> Self {
        let peer = Peer(SocketAddr::new(address.parse().unwrap(), 40_000));
        Self { request: self.request.extension(peer), ..self }
    }

    pub(crate) fn text(self, body: impl Into<Body>) -> Self {
        let body = body.into();
        Self { body, ..self.header("content-type", "application/json") }
    }

    #[expect(clippy::needless_pass_by_value, reason = "json!() is written in the call")]
    pub(crate) fn json(self, body: Value) -> Self {
        self.text(body.to_string())
    }

    pub(crate) async fn response(self) -> http::Response<Body> {
        self.router.oneshot(self.request.body(self.body).unwrap()).await.unwrap()
    }

    pub(crate) async fn send(self) -> TestAnswer {
        let (parts, body) = self.response().await.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        TestAnswer {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        }
    }
}

/// An answer.
#[derive(Debug)]
pub(crate) struct TestAnswer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl TestAnswer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The JSON of an answer that says that it went well.
    pub(crate) fn good(&self) -> Value {
        assert!(self.status.is_success(), "{self:?}");
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(&self.text).unwrap()
    }

    /// The problem of an answer with a status.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem: Value = serde_json::from_str(&self.text).unwrap();
        assert_eq!(problem["status"], status, "{problem}");
        assert!(problem["type"].as_str().unwrap().starts_with("urn:keystile:problem:"));
        assert!(!problem["title"].as_str().unwrap().is_empty());
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        problem
    }
}
