//! What a request presents, not yet looked up.

use std::borrow::Cow;
use std::fmt;

/// In which place of a request a credential stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialPlace {
    /// The field that the rule names.
    Header,
    /// `Authorization`: a bearer token, a part of Basic, or the bare key.
    Authorization,
    /// The query parameter that the rule names.
    Query,
    /// The two places that the rule names for the parts of a key.
    Pair,
}

/// A text that was presented, not yet looked up.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential<'a> {
    /// The presented bytes; empty where they could not be decoded, which no key equals.
    pub text: Cow<'a, [u8]>,
    /// Where they stood.
    pub place: CredentialPlace,
}

impl fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("text", &format_args!("[redacted]"))
            .field("place", &self.place)
            .finish()
    }
}

/// What a request presents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Presented<'a> {
    /// No key; perhaps credentials of the API, in `Authorization`.
    Nothing,
    /// A key, or what is meant as one.
    Key(Credential<'a>),
    /// No key, and in the field that nobody chose something that does not speak of one: a credential of
    /// the API, or nonsense.
    Other(Credential<'a>),
    /// Two keys, or a field twice that may stand once.
    Twice,
}
