//! Settings: owners and how they sign in, sessions, API tokens, backups, storage and health.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use keystile_core::owners::passkey::PasskeyId;
use keystile_core::time::{Span, Timestamp};
use keystile_engine::backup::{BackUp, ShowLastBackup};
use keystile_engine::command::{Failure, FailureKind};
use keystile_engine::findings::{Diagnose, Finding, FindingLevel, ListFindings};
use keystile_engine::notifications::device::{DeviceView, ListDevices};
use keystile_engine::owners::claim::MakeClaimLink;
use keystile_engine::owners::owner::{ListOwners, OwnerView, RemoveOwner};
use keystile_engine::owners::passkey::{ListPasskeys, PasskeyView, RemovePasskey};
use keystile_engine::owners::password::SetPassword;
use keystile_engine::owners::recovery::MakeRecoveryCodes;
use keystile_engine::owners::session::{EndOtherSessions, EndSession, ListSessions, SessionView};
use keystile_engine::owners::token::{CreateToken, ListTokens, RevokeToken, TokenView};
use keystile_engine::policy::ShowPolicy;
use keystile_engine::status::{ShowStatus, StatusView};
use serde::Deserialize;

use super::{
    ConfirmPage, Frame, PageResult, Screen, act, clock, failure_page, filled, page, redirect,
};
use crate::api::backup::backup_file;
use crate::flash::{Flash, Secret, Typed};
use crate::format::filters;
use crate::format::when::Clock;
use crate::sign_in::password_hash;
use crate::sign_in::recover::shown_codes;
use crate::sign_in::session::{RecentlyAuthenticated, SignedIn};
use crate::web::Web;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage {
    frame: Frame,
    clock: Clock,
    me: OwnerView,
    session: String,
    owners: Vec<OwnerView>,
    passkeys: Vec<PasskeyView>,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
    status: StatusView,
    retention: String,
    findings: Vec<Finding>,
    last_backup: Option<Timestamp>,
    can_add_passkey: bool,
    devices: Vec<DeviceView>,
    push_key: String,
    password_min: usize,
}

pub(crate) async fn settings(State(web): State<Arc<Web>>, owner: SignedIn) -> PageResult {
    let shown = settings_page(&web, &owner).await.map_err(failure_page(&web, &owner))?;
    Ok(page(&shown))
}

async fn settings_page(web: &Arc<Web>, owner: &SignedIn) -> Result<SettingsPage, Failure> {
    let (me, by, engine) = (owner.owner().clone(), owner.principal(), &web.engine);
    let devices = engine.execute(&by, ListDevices).await?;
    let status = engine.execute(&by, ShowStatus).await?;
    let last_backup = engine.execute(&by, ShowLastBackup).await?;
    // The file itself is looked through when somebody asks: that takes as long as it is large.
    let findings = engine.execute(&by, ListFindings).await?;
    let retention = engine.execute(&by, ShowPolicy).await?.retention;
    Ok(SettingsPage {
        owners: engine.execute(&by, ListOwners).await?,
        passkeys: engine.execute(&by, ListPasskeys).await?,
        sessions: engine.execute(&by, ListSessions).await?,
        tokens: engine.execute(&by, ListTokens).await?,
        devices: devices.into_iter().filter(|device| device.owner == me.id).collect(),
        retention: retention.map_or_else(|| "for ever".to_owned(), |span| span.to_string()),
        findings,
        last_backup,
        clock: clock(web),
        session: owner.session().to_owned(),
        push_key: web.settings.push_key.clone(),
        can_add_passkey: web.passkeys.are_usable(),
        password_min: password_hash::CHARS_MIN,
        status,
        me,
        // The last thing: it takes the flash, which a failure before would swallow.
        frame: Frame::of(web, owner, Screen::Settings, "Settings"),
    })
}

/// Says on the settings page how an act went.
fn show_result<T>(web: &Web, owner: &SignedIn, done: Result<T, Failure>, text: &str) -> Response {
    let flash = match done {
        Ok(_) => Flash::done(text),
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/settings")
}

pub(crate) async fn diagnose(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    let flash = match web.engine.execute(&owner.principal(), Diagnose).await {
        Ok(findings) => {
            let bad: Vec<_> =
                findings.iter().filter(|finding| finding.level != FindingLevel::Good).collect();
            if bad.is_empty() {
                Flash::done(format!(
                    "Looked at {} things, the whole file included: all is well.",
                    findings.len()
                ))
            } else {
                let lines: Vec<_> = bad
                    .iter()
                    .map(|finding| format!("{}: {}", finding.subject, finding.message))
                    .collect();
                Flash::failed(&Failure {
                    kind: FailureKind::Invalid,
                    message: lines.join("\n"),
                    help: bad[0].help.clone(),
                })
            }
        }
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/settings")
}

pub(crate) async fn invite(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
) -> Response {
    let flash = match web.engine.execute(&owner.principal(), MakeClaimLink).await {
        Ok(link) => Flash {
            secrets: vec![Secret {
                label: "Give this link to the new owner over a way that you trust. It works once, for 30 minutes.".to_owned(),
                text: link.url,
                example: None,
            }],
            ..Flash::done("Made a link for another owner.")
        },
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/settings")
}

/// A step that was begun before its owner confirmed their identity comes back as a GET: to the page that has
/// its button.
pub(crate) async fn back(State(_): State<Arc<Web>>, _: SignedIn) -> Response {
    redirect("/settings")
}

pub(crate) async fn remove_owner_page(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(name): Path<String>,
) -> PageResult {
    Ok(page(&ConfirmPage {
        frame: Frame::of(&web, &owner, Screen::Settings, "Remove an owner"),
        subject: format!("{name} will no longer be able to sign in."),
        consequences: vec![
            "Their sessions will end at once, and their passkeys will open nothing.".to_owned(),
            "API tokens that they made go on; revoke those on the settings page.".to_owned(),
            "You can make them a new link at any time.".to_owned(),
        ],
        action: format!("/settings/owners/{}/remove", crate::form::path_segment(&name)),
        fields: Vec::new(),
        button: "Remove",
        tone: "danger",
        back: "/settings".to_owned(),
    }))
}

pub(crate) async fn remove_owner(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(name): Path<String>,
) -> Response {
    let remove = RemoveOwner { owner: name.clone() };
    let removed = web.engine.execute(&owner.principal(), remove).await;
    show_result(&web, &owner, removed, &format!("{name} is no longer an owner."))
}

pub(crate) async fn remove_passkey(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Path(id): Path<String>,
) -> Response {
    let Ok(passkey) = id.parse::<PasskeyId>() else {
        return redirect("/settings");
    };
    let removed = web.engine.execute(&owner.principal(), RemovePasskey { passkey }).await;
    show_result(&web, &owner, removed, "Removed the passkey.")
}

#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    password: String,
}

pub(crate) async fn set_password(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Form(form): Form<PasswordForm>,
) -> Response {
    let set = async {
        let password = password_hash::hash(form.password).await?;
        let set = SetPassword { password, kept_session: owner.session().to_owned() };
        web.engine.execute(&owner.principal(), set).await
    };
    let done = set.await;
    show_result(&web, &owner, done, "Set the password, and ended your other sessions.")
}

pub(crate) async fn make_codes(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
) -> Response {
    let flash = match web.engine.execute(&owner.principal(), MakeRecoveryCodes).await {
        Ok(made) => Flash {
            secrets: vec![shown_codes(&made)],
            ..Flash::done("Made new recovery codes; the old ones are void.")
        },
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect("/settings")
}

pub(crate) async fn end_session(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(session): Path<String>,
) -> Response {
    let ended = web.engine.execute(&owner.principal(), EndSession { session }).await;
    show_result(&web, &owner, ended, "Ended the session.")
}

pub(crate) async fn end_sessions(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    let others = EndOtherSessions { kept_session: owner.session().to_owned() };
    let ended = web.engine.execute(&owner.principal(), others).await;
    show_result(&web, &owner, ended, "Ended all your other sessions.")
}

#[derive(Deserialize)]
pub(crate) struct TokenForm {
    name: String,
    scope: String,
    span: Option<String>,
}

pub(crate) async fn create_token(
    State(web): State<Arc<Web>>,
    RecentlyAuthenticated(owner): RecentlyAuthenticated,
    Form(form): Form<TokenForm>,
) -> Response {
    let typed = Typed {
        form: "token",
        fields: vec![
            ("name", form.name.clone()),
            ("scope", form.scope.clone()),
            ("span", form.span.clone().unwrap_or_default()),
        ],
    };
    let made = async {
        let plain = |message: String| Failure { kind: FailureKind::Invalid, message, help: None };
        let scope = form.scope.parse().map_err(|_| plain("there is no such scope".to_owned()))?;
        let span = filled(form.span).map(|text| text.parse::<Span>()).transpose();
        let span = span.map_err(|error| plain(error.to_string()))?;
        let name = form.name.trim().to_owned();
        let new = CreateToken { name, scope, for_millis: span.map(Span::millis) };
        web.engine.execute(&owner.principal(), new).await
    };
    let flash = match made.await {
        Ok(made) => Flash {
            secrets: vec![Secret {
                label: format!("The token {}, shown only now.", made.view.name),
                example: Some(format!(
                    "curl -H 'Authorization: Bearer {}' '{}/api/v1/status'",
                    made.token.expose(),
                    web.engine.console_url().trim_end_matches('/')
                )),
                text: made.token.expose().to_owned(),
            }],
            ..Flash::done("Created a token.")
        },
        Err(failure) => Flash { typed: Some(typed), ..Flash::failed(&failure) },
    };
    web.flashes.put(owner.session(), flash);
    redirect("/settings")
}

pub(crate) async fn revoke_token(
    State(web): State<Arc<Web>>,
    owner: SignedIn,
    Path(id): Path<String>,
) -> Response {
    let revoked = web.engine.execute(&owner.principal(), RevokeToken { token: id }).await;
    show_result(&web, &owner, revoked, "Revoked the token.")
}

pub(crate) async fn back_up(State(web): State<Arc<Web>>, owner: SignedIn) -> Response {
    match backup_file(&web.engine).await {
        Ok(to) => act(&web, &owner, BackUp { to }, "/settings", None).await,
        Err(failure) => show_result::<()>(&web, &owner, Err(failure), ""),
    }
}
