//! A request's head in plain slices, so that any door can make one: HTTP/1, HTTP/2, a decision API, or a
//! layer in somebody's server.

use http::{HeaderMap, Uri};
use smallvec::SmallVec;

/// A header field: its name in any case, and its value.
pub type Field<'a> = (&'a str, &'a [u8]);

/// Where a door puts the fields of one head, without allocating for a usual one.
pub type FieldList<'a> = SmallVec<[Field<'a>; 32]>;

/// The version of HTTP that a caller speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/1.0, or an earlier one.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
    /// HTTP/3.
    Http3,
}

impl HttpVersion {
    /// Whether requests share a connection as streams, framed by the protocol and not by header fields.
    pub fn has_streams(self) -> bool {
        match self {
            Self::Http10 | Self::Http11 => false,
            Self::Http2 | Self::Http3 => true,
        }
    }
}

impl From<http::Version> for HttpVersion {
    fn from(version: http::Version) -> Self {
        match version {
            http::Version::HTTP_11 => Self::Http11,
            http::Version::HTTP_2 => Self::Http2,
            http::Version::HTTP_3 => Self::Http3,
            _ => Self::Http10,
        }
    }
}

/// What a request is for, as its request line or its pseudo-header fields say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target<'a> {
    /// That of a target in absolute form, or `:scheme`.
    pub scheme: Option<&'a str>,
    /// That of a target in absolute or authority form, or `:authority`.
    pub authority: Option<&'a str>,
    /// Path and query as sent; empty where the target has none.
    pub path_and_query: &'a str,
}

impl<'a> From<&'a Uri> for Target<'a> {
    fn from(uri: &'a Uri) -> Self {
        // An empty path, which is what is left of `#a`, shows as `/`; only comparing tells the two apart.
        let path_and_query = uri.path_and_query().map_or("", |target| {
            let is_root = || *target == http::uri::PathAndQuery::from_static("/");
            if target.as_str() != "/" || is_root() { target.as_str() } else { "" }
        });
        let authority = uri.authority().map(http::uri::Authority::as_str);
        Self { scheme: uri.scheme_str(), authority, path_and_query }
    }
}

/// Every field of a head, as received.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(pub &'a [Field<'a>]);

impl<'a> Fields<'a> {
    /// The values of all fields with a name, in order.
    pub fn values(self, name: &str) -> impl DoubleEndedIterator<Item = &'a [u8]> {
        let named = move |(other, _): &&Field<'_>| other.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).map(|(_, value)| *value)
    }

    /// The value of the first field with a name.
    pub fn first(self, name: &str) -> Option<&'a [u8]> {
        self.values(name).next()
    }
}

/// The fields of a map, as plain slices.
pub fn fields_of(headers: &HeaderMap) -> FieldList<'_> {
    headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect()
}

/// A value that is text: visible ASCII, blanks and tabs.
pub fn text_of(value: &[u8]) -> Option<&str> {
    let is_visible = |byte: &u8| matches!(byte, b'\t' | 0x20..0x7f);
    value.iter().all(is_visible).then(|| std::str::from_utf8(value).ok()).flatten()
}

/// A request's head as a door's parser gives it: the method and the names are tokens, and values hold no
/// control characters but tabs.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// The method.
    pub method: &'a str,
    /// What the request is for.
    pub target: Target<'a>,
    /// The version that the caller speaks.
    pub version: HttpVersion,
    /// Every field.
    pub fields: Fields<'a>,
}

impl<'a> RequestHead<'a> {
    /// The path as sent, without the query.
    pub fn raw_path(&self) -> &'a str {
        let target = self.target.path_and_query;
        &target[..target.find('?').unwrap_or(target.len())]
    }

    /// The query as sent, without `?`; `None` where there is no `?`.
    pub fn query(&self) -> Option<&'a str> {
        self.target.path_and_query.split_once('?').map(|(_, query)| query)
    }

    /// The length that Content-Length states.
    pub fn content_length(&self) -> Option<u64> {
        text_of(self.fields.first("content-length")?)?.parse().ok()
    }
}
