//! What a look-up asks and what comes of it.

use std::fmt;

use keystile_core::keys::hash::KeyHash;
use keystile_core::keys::imported::ImportedText;

/// A key that is looked up.
#[derive(Clone)]
pub(crate) struct LookUpKey {
    pub(crate) text: ImportedText,
    pub(crate) hash: KeyHash,
}

impl fmt::Debug for LookUpKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LookUpKey([redacted])")
    }
}

/// What came of a look-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundThere {
    /// The source knows the key, and it was brought over.
    Imported,
    /// The source does not know it, or knows it as one that may not call.
    Unknown,
    /// The source could not be asked, or did not answer.
    Unavailable {
        /// After how many seconds it makes sense to ask again.
        retry_after_secs: u64,
    },
}

impl FoundThere {
    /// What two sources say together: where one knows the key it is known, and where one could not be asked it
    /// is not known to be unknown.
    pub(crate) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Imported, _) | (_, Self::Imported) => Self::Imported,
            (
                Self::Unavailable { retry_after_secs: one },
                Self::Unavailable { retry_after_secs: two },
            ) => Self::Unavailable { retry_after_secs: one.max(two) },
            (unavailable @ Self::Unavailable { .. }, Self::Unknown)
            | (Self::Unknown, unavailable @ Self::Unavailable { .. }) => unavailable,
            (Self::Unknown, Self::Unknown) => Self::Unknown,
        }
    }

    /// What the metrics call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Imported => "imported",
            Self::Unknown => "unknown",
            Self::Unavailable { .. } => "unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_unknown_only_where_every_source_says_so() {
        use FoundThere::{Imported, Unknown};
        let late = |retry_after_secs| FoundThere::Unavailable { retry_after_secs };
        assert_eq!(Unknown.or(Unknown), Unknown);
        assert_eq!(Unknown.or(late(2)), late(2));
        assert_eq!(late(2).or(Unknown), late(2));
        assert_eq!(late(2).or(late(5)), late(5));
        for other in [Imported, Unknown, late(1)] {
            assert_eq!((Imported.or(other), other.or(Imported)), (Imported, Imported));
        }
    }
}
