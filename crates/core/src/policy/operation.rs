//! Operations: which method and path a rule speaks of, and what a call of it costs.

use std::fmt;
use std::str::FromStr;

use http::Method;

use crate::policy::template::{InvalidTemplate, PathTemplate};

/// Methods and a path template, as in `GET,POST /bookmarks/{id}`, `DELETE *` or `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationPattern {
    methods: Vec<Method>,
    template: PathTemplate,
}

/// A pattern within one API, or in every API where the name is `*`: `bookmarks: DELETE *`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopedPattern {
    /// The API's name, or `*`.
    pub api: String,
    /// The operations in it.
    pub pattern: OperationPattern,
}

/// Why a text does not name operations.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidPattern {
    /// Neither `*` nor methods and a path.
    #[error(
        "write `*`, or methods and a path, as in \"GET,POST /bookmarks/{{id}}\" or \"DELETE *\""
    )]
    Form,
    /// A method that no request can have.
    #[error("{0:?} is not an upper-case HTTP method")]
    Method(String),
    /// The path part.
    #[error(transparent)]
    Template(#[from] InvalidTemplate),
    /// No API in front.
    #[error("name the API first, as in \"bookmarks: DELETE *\"")]
    NoApi,
}

impl FromStr for OperationPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (methods, template) = match words.as_slice() {
            ["*"] => ("*", "*"),
            [methods, template] => (*methods, *template),
            _ => return Err(InvalidPattern::Form),
        };
        let methods = match methods {
            "*" => Vec::new(),
            list => list.split(',').map(method).collect::<Result<_, _>>()?,
        };
        Ok(Self { methods, template: template.parse()? })
    }
}

fn method(name: &str) -> Result<Method, InvalidPattern> {
    let invalid = || InvalidPattern::Method(name.to_owned());
    if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
        return Err(invalid());
    }
    name.parse().map_err(|_| invalid())
}

impl FromStr for ScopedPattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, InvalidPattern> {
        let (api, pattern) = text.split_once(':').ok_or(InvalidPattern::NoApi)?;
        let api = api.trim();
        if api.is_empty() || api.contains(['/', ' ']) {
            return Err(InvalidPattern::NoApi);
        }
        Ok(Self { api: api.to_owned(), pattern: pattern.parse()? })
    }
}

impl fmt::Display for OperationPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.methods.is_empty() {
            if self.template.is_every_path() {
                return f.write_str("*");
            }
            f.write_str("*")?;
        }
        for (place, method) in self.methods.iter().enumerate() {
            write!(f, "{}{method}", if place == 0 { "" } else { "," })?;
        }
        write!(f, " {}", self.template)
    }
}

impl fmt::Display for ScopedPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.api, self.pattern)
    }
}

impl OperationPattern {
    /// Every method and path.
    pub fn everything() -> Self {
        Self { methods: Vec::new(), template: "*".parse().expect("`*` is a template") }
    }

    /// The paths.
    pub fn template(&self) -> &PathTemplate {
        &self.template
    }

    /// The methods; every one where empty.
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Whether a method is meant. GET means HEAD too, which asks for the same without the body.
    pub fn has_method(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }

    /// How closely the pattern describes a request; a higher rank names it better.
    pub(crate) fn rank(&self) -> u32 {
        self.template.rank() * 2 + u32::from(!self.methods.is_empty())
    }

    /// The name of the operation in the journal: this request's method, and the path template.
    pub(crate) fn label(&self, method: &Method) -> String {
        format!("{method} {}", self.template)
    }
}

/// Methods that RFC 9110 section 9.2.1 and RFC 10008 define as safe; every other one writes.
pub fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) || method.as_str() == "QUERY"
}

/// Whether a call reads or writes, where that does not follow from its method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// A call counts as a read, whatever its method.
    Read,
    /// A call counts as a write, whatever its method.
    Write,
}

/// What the policy says of the operations that a pattern names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OperationRule {
    /// The operations.
    pub pattern: OperationPattern,
    /// Read or write, where not by method.
    pub treat_as: Option<Treatment>,
    /// What one call costs in every budget; 1 where `None`.
    pub cost: Option<u32>,
    /// The body tells the cost.
    pub body: Option<BodyRule>,
    /// The operation may become a WebSocket.
    pub websocket: bool,
    /// Which writes stay counted; those that were sent where `None`.
    pub count: Option<CountRule>,
}

impl OperationRule {
    /// A rule that leaves everything as it is by default.
    pub fn new(pattern: OperationPattern) -> Self {
        Self { pattern, treat_as: None, cost: None, body: None, websocket: false, count: None }
    }
}

/// Which writes stay counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CountRule {
    /// Those that the upstream refused with 4xx are given back.
    Applied,
    /// All that were sent.
    #[default]
    Sent,
}

/// How the body of a call tells what the call costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BodyRule {
    /// What to count.
    pub kind: BodyKind,
    /// What a body costs that cannot be counted; it is refused where `None`.
    pub cost_max: Option<u32>,
}

/// What in a body is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The entries of the top-level JSON array, or of the array in the named member.
    Items {
        /// The member of the top-level object; the top level itself where `None`.
        at: Option<String>,
    },
    /// The root fields of GraphQL mutations; queries are reads.
    GraphQl,
    /// The entries of a JSON-RPC batch.
    JsonRpc,
}

impl BodyKind {
    /// Whether one handler takes all such calls, so that a server may mount it for everything below its
    /// path.
    pub(crate) fn is_one_handler(&self) -> bool {
        match self {
            Self::GraphQl | Self::JsonRpc => true,
            Self::Items { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_back_as_written() {
        for text in ["*", "DELETE *", "GET,POST /bookmarks/{id}", "* /admin/*"] {
            assert_eq!(text.parse::<OperationPattern>().unwrap().to_string(), text);
        }
        assert_eq!(
            "bookmarks:  DELETE  *".parse::<ScopedPattern>().unwrap().to_string(),
            "bookmarks: DELETE *"
        );
    }

    #[test]
    fn texts_that_name_no_operation_are_refused() {
        for text in ["", "GET", "get /a", "GET a", "GET /a /b", "GET, /a", "/a"] {
            assert!(text.parse::<OperationPattern>().is_err(), "{text}");
        }
        for text in ["DELETE *", ": *", "GET /a:b", "a b: *"] {
            assert!(text.parse::<ScopedPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_on_get_holds_for_head() {
        let pattern: OperationPattern = "GET /a".parse().unwrap();
        assert!(pattern.has_method(&Method::HEAD) && !pattern.has_method(&Method::POST));
    }
}
