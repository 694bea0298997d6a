//! What a call asks for beyond the answer: the header `3scale-options`, and the old parameter `no_body`.

use super::error::RequestError;
use super::params::{Params, Value};
use super::query::Query;

/// The options of a call. Each is off unless its value is exactly `1`; `no_body` is on unless its value says
/// no.
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own in the header")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The answer has no body, also when it is an error.
    pub no_body: bool,
    /// A rejection has its code in `3scale-rejection-reason`.
    pub rejection_reason_header: bool,
    /// The answer has the `3scale-limit-*` headers.
    pub limit_headers: bool,
    /// The body tells the metrics below those of its usage reports.
    pub hierarchy: bool,
    /// The caller has already added what is used of a metric to those above.
    pub flat_usage: bool,
    /// The body tells the keys of the application.
    pub list_app_keys: bool,
}

impl Options {
    /// Reads the value of the header, and the parameters of the call.
    ///
    /// Fails when the header is no well-formed query.
    pub fn read(header: Option<&[u8]>, params: &Params<'_>) -> Result<Self, RequestError> {
        let header = Query::parse(header.unwrap_or_default())?;
        let header = header.params_with_replacements();
        let is_on = |name| header.text(name) == Some("1");
        let given = |params: &Params<'_>| match params.get("no_body") {
            None | Some(Value::Null) => None,
            Some(value) => Some(!matches!(value.text(), Some("0" | "false"))),
        };
        Ok(Self {
            no_body: given(header).or_else(|| given(params)).unwrap_or(false),
            rejection_reason_header: is_on("rejection_reason_header"),
            limit_headers: is_on("limit_headers"),
            hierarchy: is_on("hierarchy"),
            flat_usage: is_on("flat_usage"),
            list_app_keys: is_on("list_app_keys"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(header: &str, query: &str) -> Options {
        let query = Query::parse(query.as_bytes()).unwrap();
        Options::read(Some(header.as_bytes()), query.params().unwrap()).unwrap()
    }

    #[test]
    fn an_option_is_on_when_its_value_is_one() {
        let apicast = options("rejection_reason_header=1&limit_headers=1&no_body=1", "");
        let expected = Options {
            no_body: true,
            rejection_reason_header: true,
            limit_headers: true,
            ..Options::default()
        };
        assert_eq!(apicast, expected);
        for off in ["hierarchy=01", "flat_usage=true", "list_app_keys", "limit_headers[]=1", "x=1"]
        {
            assert_eq!(options(off, ""), Options::default(), "{off}");
        }
        assert!(options("hierarchy=1", "").hierarchy && options("flat_usage=1", "").flat_usage);
        assert!(options("list_app_keys=1", "").list_app_keys);
        assert_eq!(options("", "limit_headers=1"), Options::default());
    }

    #[test]
    fn no_body_is_on_unless_its_value_says_no_and_the_header_wins() {
        for on in ["no_body=1", "no_body=", "no_body=no", "no_body[]=0"] {
            assert!(options(on, "").no_body && options("", on).no_body, "{on}");
        }
        for off in ["no_body=0", "no_body=false", "no_body", ""] {
            assert!(!options(off, "").no_body && !options("", off).no_body, "{off}");
        }
        assert!(!options("no_body=0", "no_body=1").no_body);
        assert!(options("no_body", "no_body=1").no_body);
    }

    #[test]
    fn a_broken_header_is_refused() {
        let params = Params::default();
        let error = Options::read(Some(b"no_body=%"), &params).unwrap_err();
        assert_eq!((error.status(), error.code()), (400, "bad_request"));
        assert_eq!(Options::read(None, &params), Ok(Options::default()));
    }
}
