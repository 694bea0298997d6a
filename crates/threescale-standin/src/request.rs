//! A request to the portal's API, read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use http::header::AUTHORIZATION;
use http::request::Parts;

/// A request as the portal's rules look at it.
#[derive(Debug)]
pub(crate) struct ApiRequest {
    pub(crate) method: Method,
    pub(crate) path: String,
    params: Vec<(String, String)>,
    basic: Option<String>,
}

impl ApiRequest {
    pub(crate) fn read(head: &Parts, body: &[u8]) -> Self {
        let query = head.uri.query().unwrap_or_default().as_bytes();
        let params = [query, body].map(url::form_urlencoded::parse);
        let params = params.into_iter().flatten();
        Self {
            method: head.method.clone(),
            path: head.uri.path().to_owned(),
            params: params.map(|(name, value)| (name.into(), value.into())).collect(),
            basic: basic(head),
        }
    }

    /// A parameter of the query or the form.
    pub(crate) fn param(&self, name: &str) -> Option<&str> {
        let found = self.params.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// A parameter that is a number; one that is none is number 0, which nothing has.
    pub(crate) fn id(&self, name: &str) -> Option<u64> {
        self.param(name).map(|text| text.parse().unwrap_or(0))
    }

    /// The token: a parameter before HTTP Basic, and there the first half that is not blank.
    pub(crate) fn token(&self) -> Option<&str> {
        self.param("access_token").or(self.basic.as_deref())
    }
}

fn basic(head: &Parts) -> Option<String> {
    let field = head.headers.get(AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(field.strip_prefix("Basic ")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (user, password) = decoded.split_once(':')?;
    [user, password].into_iter().find(|half| !half.trim().is_empty()).map(str::to_owned)
}
