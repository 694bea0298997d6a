//! The screens. Each file reads what its screen shows, and carries out what its forms ask for.

use std::sync::Arc;

use askama::Template;
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::{HeaderMap, StatusCode};
use keystile_core::text::printable_blanks;
use keystile_engine::command::{Command, Done, Edited, Failure, FailureKind};
use serde::Deserialize;

use crate::flash::{Flash, Typed, Undo};
use crate::format::when::Clock;
use crate::sign_in::session::{self, SignedIn};
use crate::web::Web;

pub(crate) mod application;
pub(crate) mod application_lock;
pub(crate) mod audit;
pub(crate) mod delivery;
pub(crate) mod find;
pub(crate) mod journal;
pub(crate) mod key;
pub(crate) mod now;
pub(crate) mod policy;
pub(crate) mod settings;
pub(crate) mod source;

/// The screens that the header leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Screen {
    Now,
    Journal,
    Keys,
    Applications,
    Policy,
    Sources,
    Audit,
    Deliveries,
    Settings,
    /// None of them.
    Other,
}

/// What every page has around its content.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) owner: Option<String>,
    pub(crate) flash: Option<Flash>,
    pub(crate) fault: Option<String>,
    pub(crate) version: &'static str,
    screen: Screen,
    locked: u64,
    locked_applications: u64,
    /// Whether the header leads to key sources.
    sources: Sources,
}

/// Whether key sources are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sources {
    Some,
    None,
}

/// An entry of the header.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
    pub(crate) is_here: bool,
    pub(crate) count: u64,
}

impl Frame {
    /// The frame of a page for somebody who is signed in. Takes the flash that waits for them.
    pub(crate) fn of(web: &Web, owner: &SignedIn, screen: Screen, title: &str) -> Self {
        Self {
            owner: Some(owner.name().to_owned()),
            flash: web.flashes.take(owner.session()),
            fault: web.engine.store().fault(),
            locked: web.engine.locked_keys(),
            sources: if web.engine.has_key_sources() { Sources::Some } else { Sources::None },
            locked_applications: web.engine.locked_applications(),
            ..Self::bare(screen, title)
        }
    }

    /// The frame of a page for anybody.
    pub(crate) fn bare(screen: Screen, title: &str) -> Self {
        Self {
            title: title.to_owned(),
            owner: None,
            flash: None,
            fault: None,
            version: env!("CARGO_PKG_VERSION"),
            screen,
            locked: 0,
            sources: Sources::None,
            locked_applications: 0,
        }
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        let places = [
            (Screen::Now, "/", "Now"),
            (Screen::Journal, "/journal", "Journal"),
            (Screen::Keys, "/keys", "Keys"),
            (Screen::Applications, "/applications", "Applications"),
            (Screen::Policy, "/policy", "Policy"),
            (Screen::Sources, "/sources", "Sources"),
            (Screen::Deliveries, "/deliveries", "Deliveries"),
            (Screen::Audit, "/audit", "Audit"),
            (Screen::Settings, "/settings", "Settings"),
        ];
        let place = |(screen, path, name)| Place {
            path,
            name,
            is_here: screen == self.screen,
            count: match screen {
                Screen::Keys => self.locked,
                Screen::Applications => self.locked_applications,
                _ => 0,
            },
        };
        let is_shown = |(screen, _, _): &(Screen, _, _)| {
            *screen != Screen::Sources || self.sources == Sources::Some
        };
        places.into_iter().filter(is_shown).map(place).collect()
    }

    /// Whether a form failed a moment ago, and is to be shown open.
    pub(crate) fn has_typed(&self, form: &str) -> bool {
        self.typed(form).is_some()
    }

    /// What was typed into a field of a form that failed a moment ago; what it usually holds otherwise.
    pub(crate) fn typed_or<'a>(&'a self, form: &str, field: &str, usual: &'a str) -> &'a str {
        let typed = self.typed(form).and_then(|typed| {
            typed.fields.iter().find(|(name, _)| *name == field).map(|(_, text)| text.as_str())
        });
        typed.unwrap_or(usual)
    }

    fn typed(&self, form: &str) -> Option<&Typed> {
        self.flash.as_ref()?.typed.as_ref().filter(|typed| typed.form == form)
    }
}

/// The clock that a page is made at.
pub(crate) fn clock(web: &Web) -> Clock {
    Clock { now: web.engine.store().now() }
}

/// A page.
pub(crate) fn page(template: &impl Template) -> Response {
    page_with(StatusCode::OK, template)
}

pub(crate) fn page_with(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        // What does not show as itself is written out, whatever text it came with.
        Ok(html) => (status, Html(printable_blanks(&html).into_owned())).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be drawn");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// A page that cannot be shown, because what it is about is not there or the store failed.
#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    message: String,
    help: Option<String>,
}

/// The answer of a handler that cannot show its page.
pub(crate) struct FailedPage(Box<Response>);

impl IntoResponse for FailedPage {
    fn into_response(self) -> Response {
        *self.0
    }
}

/// What a handler of a page answers.
pub(crate) type PageResult = Result<Response, FailedPage>;

/// Turns a failure into the page that shows it.
pub(crate) fn failure_page<'a>(
    web: &'a Arc<Web>,
    owner: &'a SignedIn,
) -> impl FnOnce(Failure) -> FailedPage + 'a {
    move |failure| {
        let frame = Frame::of(web, owner, Screen::Other, "This cannot be shown");
        let status = match failure.kind {
            FailureKind::Forbidden => StatusCode::FORBIDDEN,
            FailureKind::Missing | FailureKind::Invalid => StatusCode::NOT_FOUND,
            FailureKind::Conflict | FailureKind::Stale => StatusCode::CONFLICT,
            FailureKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            FailureKind::Fault => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let Failure { message, help, .. } = failure;
        FailedPage(Box::new(page_with(status, &FailurePage { frame, message, help })))
    }
}

/// The page for an answer that has none of its own: an unknown address, a method that it does not take, a
/// form that was not filled by its page.
pub(crate) async fn no_page(
    web: &Web,
    headers: &HeaderMap,
    status: StatusCode,
    said: String,
) -> Response {
    let (title, message) = match status {
        StatusCode::NOT_FOUND => ("Not found", "There is no page at this address.".to_owned()),
        StatusCode::METHOD_NOT_ALLOWED => (
            "Not found",
            "This address is for a button of the console, not to be opened.".to_owned(),
        ),
        _ if said.is_empty() => ("This cannot be shown", "Nothing was done.".to_owned()),
        _ => ("This cannot be shown", said),
    };
    let frame = match session::find(web, headers).await {
        Ok(Some(owner)) => Frame::of(web, &owner, Screen::Other, title),
        Ok(None) | Err(_) => Frame::bare(Screen::Other, title),
    };
    page_with(status, &FailurePage { frame, message, help: None })
}

/// A page that asks before an act that is hard to take back, and says what will happen.
#[derive(Template)]
#[template(path = "confirm.html")]
pub(crate) struct ConfirmPage {
    pub(crate) frame: Frame,
    pub(crate) subject: String,
    pub(crate) consequences: Vec<String>,
    pub(crate) action: String,
    pub(crate) fields: Vec<(&'static str, String)>,
    pub(crate) button: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) back: String,
}

/// An answer that a page shows as a sentence.
pub(crate) trait Sentence {
    /// What was done.
    fn sentence(self) -> String;
}

impl Sentence for Done {
    fn sentence(self) -> String {
        self.0
    }
}

impl<V> Sentence for Edited<V> {
    fn sentence(self) -> String {
        self.done
    }
}

/// Carries out what a form asked for, and shows the result on the page that `back` leads to.
pub(crate) async fn act<C: Command<Answer: Sentence>>(
    web: &Arc<Web>,
    owner: &SignedIn,
    command: C,
    back: &str,
    undo: Option<Undo>,
) -> Response {
    let flash = match web.engine.execute(&owner.principal(), command).await {
        Ok(answer) => Flash { undo, ..Flash::done(answer.sentence()) },
        Err(failure) => Flash::failed(&failure),
    };
    web.flashes.put(owner.session(), flash);
    redirect(back)
}

/// The same for a form that somebody typed into: where it fails, it comes back as it was.
pub(crate) async fn act_typed<C: Command<Answer: Sentence>>(
    web: &Arc<Web>,
    owner: &SignedIn,
    command: C,
    back: &str,
    undo: Option<Undo>,
    typed: Typed,
) -> Response {
    let flash = match web.engine.execute(&owner.principal(), command).await {
        Ok(answer) => Flash { undo, ..Flash::done(answer.sentence()) },
        Err(failure) => Flash { typed: Some(typed), ..Flash::failed(&failure) },
    };
    web.flashes.put(owner.session(), flash);
    redirect(back)
}

/// Says what was wrong with a form, which comes back as it was.
pub(crate) fn refuse_form(
    web: &Web,
    owner: &SignedIn,
    error: &dyn std::fmt::Display,
    back: &str,
    typed: Typed,
) -> Response {
    let failure = Failure { kind: FailureKind::Invalid, message: error.to_string(), help: None };
    let flash = Flash { typed: Some(typed), ..Flash::failed(&failure) };
    web.flashes.put(owner.session(), flash);
    redirect(back)
}

/// A form that names a plan.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanForm {
    pub(crate) plan: String,
}

/// A form with a note.
#[derive(Debug, Deserialize)]
pub(crate) struct NoteForm {
    pub(crate) note: String,
}

/// Leads to a page of the console.
pub(crate) fn redirect(path: &str) -> Response {
    Redirect::to(local(path)).into_response()
}

/// Only paths of the console: an address from a form must lead nowhere else.
pub(crate) fn local(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains('\\')
        && path.bytes().all(|byte| byte.is_ascii_graphic());
    if is_local { path } else { "/" }
}

/// The names of the plans that keys can have, sorted.
pub(crate) fn plans_of_keys(web: &Web) -> Vec<String> {
    let policy = web.engine.policy();
    let mut names: Vec<_> = policy
        .plans()
        .filter(|plan| !plan.spec().is_keyless)
        .map(|plan| plan.name().to_owned())
        .collect();
    names.sort();
    names
}

/// Some lines of a form, whose ends browsers send as two characters.
pub(crate) fn lines(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// A text field of a form; `None` where it was left empty.
pub(crate) fn filled(text: Option<String>) -> Option<String> {
    text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_leads_only_to_pages_of_the_console() {
        assert_eq!(local("/keys/key_1?a=b#c"), "/keys/key_1?a=b#c");
        for path in
            ["//evil.example", "https://evil.example", "/\\evil.example", "", "keys", "/a\r\nb"]
        {
            assert_eq!(local(path), "/", "{path:?}");
        }
    }
}
