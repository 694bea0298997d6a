//! The portal's web hooks: unsigned XML that says what happened to a resource.
//!
//! The portal sends them to one address of the tenant's, in the form that is written here or as a form
//! field; this is the first. There is no signature, no secret and no time in them, so that whoever receives
//! one knows only that somebody says so.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::render::MADE_AT;
use crate::tenant::{Application, BackendVersion, Tenant};

/// What happened to an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It was made.
    Created,
    /// Something of it was changed.
    Updated,
    /// It was suspended. That it was resumed is told by no hook.
    Suspended,
    /// It is on another plan.
    PlanChanged,
    /// It has another user key.
    UserKeyUpdated,
    /// It is gone.
    Deleted,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Suspended => "suspended",
            Self::PlanChanged => "plan_changed",
            Self::UserKeyUpdated => "user_key_updated",
            Self::Deleted => "deleted",
        }
    }
}

/// Sends the hook of an application to a plain HTTP address and gives the status of the answer. Fails when
/// nobody answers.
pub async fn send(url: &Url, event: &str) -> io::Result<u16> {
    let host = url.host_str().unwrap_or_default();
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let target = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut stream = TcpStream::connect((host, url.port_or_known_default().unwrap_or(80))).await?;
    let length = event.len();
    let request = format!(
        "POST {target} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/xml\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{event}"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::Error::other("the answer has no status"))
}

/// The hook's body: what happened, and the application as it is now.
pub fn event(tenant: &Tenant, application: u64, action: Action) -> String {
    let application = xml(tenant, tenant.application(application));
    let action = action.name();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><event><action>{action}</action>\
         <type>application</type><object>{application}</object></event>"
    )
}

fn xml(tenant: &Tenant, application: &Application) -> String {
    let plan = tenant.plan(application.plan);
    let service = tenant.service(plan.service);
    let credentials = match service.backend_version {
        BackendVersion::UserKey => {
            let key = escaped(&application.user_key);
            format!("<user_key>{key}</user_key>")
        }
        BackendVersion::AppId | BackendVersion::Oidc => {
            let keys = application.keys.iter().map(|key| format!("<key>{}</key>", escaped(key)));
            let (id, keys) = (escaped(&application.app_id), keys.collect::<String>());
            format!("<application_id>{id}</application_id><keys>{keys}</keys>")
        }
    };
    format!(
        "<application><id>{}</id><created_at>{MADE_AT}</created_at>\
         <updated_at>{MADE_AT}</updated_at><state>{}</state>\
         <user_account_id>{}</user_account_id><first_traffic_at></first_traffic_at>\
         <first_daily_traffic_at></first_daily_traffic_at><service_id>{}</service_id>{credentials}\
         <plan><id>{}</id><name>{}</name><type>application_plan</type><state>published</state></plan>\
         <name>{}</name></application>",
        application.id,
        application.state.name(),
        application.account,
        service.id,
        plan.id,
        escaped(&plan.name),
        escaped(&application.name),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
