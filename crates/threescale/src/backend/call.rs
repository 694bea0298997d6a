//! A call that asks whether it may pass, as typed values. Nothing is looked up yet.

use std::fmt;

use super::error::RequestError;
use super::params::{Params, Value};
use super::query::Query;
use super::usage::stripped;

/// Which question is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `authorize`: may it pass, if it used so much? Nothing is counted.
    Authorize,
    /// `authrep`: may it pass? If so, it is counted.
    Authrep,
    /// `authorize` of OAuth.
    OauthAuthorize,
    /// `authrep` of OAuth.
    OauthAuthrep,
}

impl Operation {
    /// The operation behind a path, where there is one.
    pub fn at(path: &str) -> Option<Self> {
        match path {
            "/transactions/authorize.xml" => Some(Self::Authorize),
            "/transactions/authrep.xml" => Some(Self::Authrep),
            "/transactions/oauth_authorize.xml" => Some(Self::OauthAuthorize),
            "/transactions/oauth_authrep.xml" => Some(Self::OauthAuthrep),
            _ => None,
        }
    }

    /// Whether what is used counts.
    pub const fn counts(self) -> bool {
        matches!(self, Self::Authrep | Self::OauthAuthrep)
    }

    /// Whether OAuth's rules hold, and the answer shows the application.
    pub const fn is_oauth(self) -> bool {
        matches!(self, Self::OauthAuthorize | Self::OauthAuthrep)
    }
}

/// Who calls, and for which service.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Provider<'p> {
    /// The provider's key. Where it is given, the token is not looked at.
    pub key: Option<&'p str>,
    /// A token of the service.
    pub service_token: Option<&'p str>,
    /// The service's id.
    pub service_id: Option<&'p str>,
}

impl<'p> Provider<'p> {
    /// Reads who calls from the parameters of any call.
    pub(super) fn read(params: &'p Params<'_>) -> Self {
        Self {
            key: unless_empty(params, "provider_key"),
            service_token: params.text("service_token").filter(|token| !token.is_empty()),
            service_id: unless_empty(params, "service_id"),
        }
    }
}

/// Where OAuth is to send the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirect<'p> {
    /// By the old name, `redirect_url`, which wins.
    Url(&'p str),
    /// By OAuth's name, `redirect_uri`.
    Uri(&'p str),
}

/// The parameters of an authorization, typed.
#[derive(Clone, PartialEq, Eq)]
pub struct Call<'p> {
    /// Which question is asked.
    pub operation: Operation,
    /// Who asks.
    pub provider: Provider<'p>,
    /// The application's id.
    pub app_id: Option<&'p str>,
    /// The application's key. Empty is not absent: it is a key that nobody has.
    pub app_key: Option<&'p str>,
    /// The application's user key.
    pub user_key: Option<&'p str>,
    /// From where the application was called.
    pub referrer: Option<&'p str>,
    /// Where OAuth is to send the user.
    pub redirect: Option<Redirect<'p>>,
    /// What is used, name by name.
    pub usage: Option<&'p Params<'p>>,
    /// The status that the called API answered.
    pub response_code: Option<u16>,
    /// A fault that is answered only to who may call.
    pub(super) fault: Option<RequestError>,
}

impl<'p> Call<'p> {
    /// Reads the parameters. An array or a hash in place of a text reads as absent.
    ///
    /// Fails when a parameter is not UTF-8.
    pub fn read(operation: Operation, query: &'p Query<'p>) -> Result<Self, RequestError> {
        let params = query.params()?;
        let given = |name| params.get(name).filter(|value| **value != Value::Null);
        let usage = given("usage");
        let fault = if given("user_id").is_some() {
            Some(RequestError::EndUsersNoLongerSupported)
        } else if usage.is_some_and(|usage| usage.hash().is_none()) {
            Some(RequestError::UsageIsNoHash)
        } else {
            None
        };
        Ok(Self {
            operation,
            provider: Provider::read(params),
            app_id: unless_empty(params, "app_id"),
            app_key: params.text("app_key").map(stripped),
            user_key: params.text("user_key").map(stripped).filter(|key| !key.is_empty()),
            referrer: params.text("referrer"),
            redirect: redirect(params),
            usage: usage.and_then(Value::hash),
            response_code: response_code(params),
            fault,
        })
    }
}

fn unless_empty<'p>(params: &'p Params<'_>, name: &str) -> Option<&'p str> {
    params.text(name).map(stripped).filter(|text| !text.is_empty())
}

fn redirect<'p>(params: &'p Params<'_>) -> Option<Redirect<'p>> {
    // An empty one of the old name wins too, and allows anything.
    if let Some(url) = params.get("redirect_url") {
        return url.text().map(Redirect::Url);
    }
    params.text("redirect_uri").map(Redirect::Uri)
}

/// `log[code]`, where it is a status. What else a log says was dropped by 3scale long ago.
pub(super) fn response_code(params: &Params<'_>) -> Option<u16> {
    let code = params.get("log")?.hash()?.text("code")?;
    let is_status = code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit());
    is_status.then(|| code.parse().ok())?
}

/// Without keys and tokens.
impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("operation", &self.operation)
            .field("provider", &self.provider)
            .field("app_id", &self.app_id)
            .field("usage", &self.usage)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Provider<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("service_id", &self.service_id).finish_non_exhaustive()
    }
}
