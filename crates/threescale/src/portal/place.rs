//! Which call of the API something is about.

use std::fmt;

use http::Method;

use super::address::PortalAddress;

/// A call as messages name it: without its query, which may hold a user key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    method: Method,
    url: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.url)
    }
}

impl Place {
    pub(crate) fn new(method: Method, portal: &PortalAddress, path: &str) -> Self {
        Self { method, url: format!("{portal}{path}") }
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn writes(&self) -> bool {
        self.method != Method::GET
    }
}
