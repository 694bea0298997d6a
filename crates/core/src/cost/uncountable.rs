//! Why a body cannot be counted.

/// The body has more than one reading, or a form that its operation does not name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Uncountable(pub(super) String);

impl Uncountable {
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}
