//! The methods by which calls are counted for those who are told of them.

use std::fmt;
use std::str::FromStr;

/// The method of a call, as far as calls are counted by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the methods have no more to say")]
pub enum CallMethod {
    Get,
    Head,
    Options,
    Query,
    Post,
    Put,
    Patch,
    Delete,
    /// Any other.
    Other,
}

impl CallMethod {
    /// All of them, in the order of their places.
    pub const ALL: [Self; 9] = [
        Self::Get,
        Self::Head,
        Self::Options,
        Self::Query,
        Self::Post,
        Self::Put,
        Self::Patch,
        Self::Delete,
        Self::Other,
    ];

    /// The one that a call with a method counts under.
    pub fn of(method: &str) -> Self {
        method.parse().unwrap_or(Self::Other)
    }

    /// Where its count stands among those of all.
    pub const fn place(self) -> usize {
        self as usize
    }

    /// The method as it is sent; nothing for the others.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Query => "QUERY",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => return None,
        })
    }
}

/// Calls are not counted by this method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("calls are counted by GET, HEAD, OPTIONS, QUERY, POST, PUT, PATCH and DELETE")]
pub struct NotCounted;

impl FromStr for CallMethod {
    type Err = NotCounted;

    fn from_str(text: &str) -> Result<Self, NotCounted> {
        Ok(match text {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "OPTIONS" => Self::Options,
            "QUERY" => Self::Query,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            "PATCH" => Self::Patch,
            "DELETE" => Self::Delete,
            _ => return Err(NotCounted),
        })
    }
}

impl fmt::Display for CallMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name().unwrap_or("another method"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_has_a_place_and_a_name_of_its_own() {
        for (place, method) in CallMethod::ALL.into_iter().enumerate() {
            assert_eq!(method.place(), place);
            assert_eq!(CallMethod::of(method.name().unwrap_or("PURGE")), method);
        }
        assert_eq!(CallMethod::of("get"), CallMethod::Other, "methods are case-sensitive");
    }
}
