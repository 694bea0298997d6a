//! What is counted: a call with its body.

use http::Method;

use crate::request::head::Fields;

/// A call whose body tells its cost, as it goes to the upstream.
#[derive(Clone, Copy, Debug)]
pub struct CountedCall<'a> {
    /// Its method: without any request in it, a safe one asks for a page.
    pub method: &'a Method,
    /// The header fields: media type, charset and coding are part of the reading.
    pub fields: Fields<'a>,
    /// The query string; empty where there is none.
    pub query: &'a str,
    /// The complete body; a part of it would count as less.
    pub body: &'a [u8],
}
