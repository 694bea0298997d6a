//! What these tests stand on: a real Keystile with 3scale's backend, whose account is kept by the internal API as
//! a portal keeps it, and clients that others wrote.

mod backend;
mod program;
mod rust;
mod tls;

use anyhow::Result;
use serde_json::Value;

pub use self::backend::{Backend, Wire};
pub use self::program::{node, python};
pub use self::rust::ThreeScalers;

/// A client, whatever it is written in. A call names what to do (`authorize`, `authrep` or `report`), the
/// credentials, the application and the usage; the answer is what the client's caller learns: `authorized`,
/// `reason`, and where the client tells them `code`, `plan` and `usage`, or `raised`.
pub trait Client {
    /// Makes the call.
    fn call(&mut self, call: &Value) -> Result<Value>;
}
