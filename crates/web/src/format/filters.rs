//! What templates make of values: `{{ record.outcome|words_of }}`.

#![expect(
    unreachable_pub,
    clippy::inline_always,
    clippy::unused_self,
    clippy::unnecessary_wraps,
    clippy::trivially_copy_pass_by_ref,
    reason = "a macro writes the filters around these functions, in the form that templates call"
)]

use std::fmt::{Display, Write as _};

use askama::Values;
use askama::filters::{Html, Safe, escape};
use keystile_core::actor::Actor;
use keystile_core::keys::application::ApplicationState;

use crate::format;

/// `refused_by_upstream` as `refused by upstream`.
#[askama::filter_fn]
pub(crate) fn words_of(name: impl Display, _: &dyn Values) -> askama::Result<String> {
    Ok(name.to_string().replace('_', " "))
}

/// A sentence that begins as one.
#[askama::filter_fn]
pub(crate) fn sentence(text: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(format::capital(text))
}

/// A sentence in which what stands between backticks is what one types.
#[askama::filter_fn]
pub(crate) fn coded(text: &str, _: &dyn Values) -> askama::Result<Safe<String>> {
    let mut html = String::new();
    for (place, part) in text.split('`').enumerate() {
        let part = escape(part, Html)?;
        // A mark without its other half is only a mark.
        let is_code = place % 2 == 1 && place < text.matches('`').count();
        match (is_code, place % 2) {
            (true, _) => write!(html, "<code>{part}</code>")?,
            (false, 1) => write!(html, "`{part}")?,
            (false, _) => write!(html, "{part}")?,
        }
    }
    Ok(Safe(html))
}

/// A number that is easy to read.
#[askama::filter_fn]
pub(crate) fn grouped(number: &u64, _: &dyn Values) -> askama::Result<String> {
    Ok(format::number(*number))
}

/// A number of bytes.
#[askama::filter_fn]
pub(crate) fn size(bytes: &u64, _: &dyn Values) -> askama::Result<String> {
    Ok(format::size(*bytes))
}

/// The text, or nothing.
#[askama::filter_fn]
pub(crate) fn or_empty(text: &Option<String>, _: &dyn Values) -> askama::Result<String> {
    Ok(text.clone().unwrap_or_default())
}

/// The text, or a dash.
#[askama::filter_fn]
pub(crate) fn or_dash(text: &Option<String>, _: &dyn Values) -> askama::Result<String> {
    Ok(text.clone().unwrap_or_else(|| "–".to_owned()))
}

/// The style of a method: what it does to what is there.
#[askama::filter_fn]
pub(crate) fn method_class(method: &str, _: &dyn Values) -> askama::Result<&'static str> {
    Ok(match method {
        "DELETE" => "delete",
        "POST" => "add",
        _ => "change",
    })
}

/// Who acted.
#[askama::filter_fn]
pub(crate) fn actor(actor: &Actor, _: &dyn Values) -> askama::Result<String> {
    Ok(format::actor(actor))
}

/// The beginning and end of an id.
#[askama::filter_fn]
pub(crate) fn short(id: &str, _: &dyn Values) -> askama::Result<String> {
    Ok(match (id.get(..8), id.get(id.len().saturating_sub(6)..)) {
        (Some(start), Some(end)) if id.len() > 18 => format!("{start}…{end}"),
        _ => id.to_owned(),
    })
}

/// `active` or `suspended`.
#[askama::filter_fn]
pub(crate) fn state_of(state: &ApplicationState, _: &dyn Values) -> askama::Result<&'static str> {
    Ok(match state {
        ApplicationState::Active => "active",
        ApplicationState::Suspended => "suspended",
    })
}
