//! What the portal relies on.

mod access;
mod applications;
mod audit;
mod batch;
mod last_key;
mod mirror;
mod services;
mod tokens;
mod traffic;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::fixture::{Backend, PASSWORD, Reply, exchange};

/// A backend that knows of nothing yet.
async fn empty() -> Backend {
    Backend::open(tempfile::tempdir().unwrap()).await
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

/// A request to the internal API.
fn send(backend: &Backend, method: &str, path: &str, (media_type, body): (&str, &str)) -> Reply {
    let (authorization, length) = (basic("internal", PASSWORD), body.len());
    let head = format!(
        "{method} /internal{path} HTTP/1.1\r\nhost: b\r\nconnection: close\r\nauthorization: {authorization}\r\n\
         content-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
    );
    exchange(backend.address(), &format!("{head}{body}"))
}

impl Backend {
    /// Status and body of a request without a body.
    fn ask(&self, method: &str, path: &str) -> (u16, Value) {
        self.put(method, path, Value::Null)
    }

    /// Status and body of a request with one.
    #[expect(clippy::needless_pass_by_value, reason = "callers write it in place")]
    fn put(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let reply = send(self, method, path, ("application/json", &body));
        assert_eq!(reply.field("content-type"), Some("application/json"), "{method} {path}");
        (reply.status, serde_json::from_str(&reply.body).unwrap())
    }
}
