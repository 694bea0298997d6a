use proptest::prelude::*;

use super::super::error::{BadRequest, RequestError};
use super::super::params::{DEPTH_MAX, PARAMETERS_MAX, Params, QUERY_BYTES_MAX, Value};
use super::super::query::Query;

/// As Ruby writes it.
fn shown(value: &Value<'_>) -> String {
    match value {
        Value::Null => "nil".to_owned(),
        Value::Text(text) => format!("{text:?}"),
        Value::List(values) => {
            format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        Value::Hash(params) => shown_params(params),
    }
}

fn shown_params(params: &Params<'_>) -> String {
    let entries = params.iter().map(|(name, value)| format!("{name:?}=>{}", shown(value)));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
}

fn read(query: &str) -> Result<String, RequestError> {
    Ok(shown_params(Query::parse(query.as_bytes())?.params()?))
}

#[test]
fn names_in_brackets_read_as_in_the_reference() {
    for (query, params) in [
        ("", "{}"),
        ("a=1&b=2", r#"{"a"=>"1", "b"=>"2"}"#),
        ("a=1&a=2", r#"{"a"=>"2"}"#),
        ("a&b=&=c&&  d=e", r#"{"a"=>nil, "b"=>"", "d"=>"e"}"#),
        ("a=b=c", r#"{"a"=>"b=c"}"#),
        ("usage%5Bhits%5D=1&usage[x]=%232", r##"{"usage"=>{"hits"=>"1", "x"=>"#2"}}"##),
        (
            "t[0][u][h]=1&t[0][a]=k&t[1][a]=",
            r#"{"t"=>{"0"=>{"u"=>{"h"=>"1"}, "a"=>"k"}, "1"=>{"a"=>""}}}"#,
        ),
        ("a[]=1&a[]=2&a[]", r#"{"a"=>["1", "2", nil]}"#),
        ("a[][b]=1&a[][c]=2&a[][b]=3", r#"{"a"=>[{"b"=>"1", "c"=>"2"}, {"b"=>"3"}]}"#),
        (
            "a[][b][c]=1&a[][b][d]=2&a[][b][c]=3",
            r#"{"a"=>[{"b"=>{"c"=>"1", "d"=>"2"}}, {"b"=>{"c"=>"3"}}]}"#,
        ),
        ("a[b][]=1&a[b][]=2", r#"{"a"=>{"b"=>["1", "2"]}}"#),
        ("a[][]=1", r#"{"a"=>[["1"]]}"#),
        ("a&a[b]=1", r#"{"a"=>{"b"=>"1"}}"#),
        ("[a]=1&[]=2&[b][c]=3", r#"{"[a]"=>"1", "[]"=>"2", "[b]"=>{"c"=>"3"}}"#),
        ("a[=1&a[b=2&a[b]c=3", r#"{"a["=>"1", "a"=>{"[b"=>"2", "b"=>{"c"=>"3"}}}"#),
        ("a+b=c%20d%2B", r#"{"a b"=>"c d+"}"#),
        ("a%C3%A9[%C3%BC]=1", r#"{"aé"=>{"ü"=>"1"}}"#),
    ] {
        assert_eq!(read(query).as_deref(), Ok(params), "{query}");
    }
}

#[test]
fn one_name_for_two_kinds_of_value_is_refused() {
    for query in
        ["u[]=1&u[hits]=1", "u[hits]=1&u[]=1", "u=1&u[hits]=1", "u=1&u[]=1", "u[a]=1&u[a][b]=1"]
    {
        assert_eq!(read(query), Err(BadRequest::Syntax.into()), "{query}");
    }
}

#[test]
fn a_percent_sign_needs_two_digits() {
    for query in ["a=1%", "a=%4", "a=%zz", "%=1", "a=%%41", "a=%+1"] {
        assert_eq!(read(query), Err(BadRequest::Escape.into()), "{query}");
    }
    let error = RequestError::from(BadRequest::Escape);
    assert_eq!(error.to_string(), "Invalid query parameters: invalid %-encoding");
    assert_eq!((error.status(), error.code()), (400, "bad_request"));
}

#[test]
fn bytes_that_are_no_text_are_refused_when_the_parameters_are_asked_for() {
    for query in ["a=%ff%fe", "%F0%90%28%BC=1", "t[%ff][a]=1"] {
        assert_eq!(read(query), Err(RequestError::NotValidData), "{query}");
    }
    assert_eq!(Query::parse(b"a=\xff").unwrap().params(), Err(RequestError::NotValidData));
    let both = Query::parse(b"a=1").unwrap().with_form(Query::parse(b"b=%ff").unwrap());
    assert!(both.params().is_err());
}

#[test]
fn bytes_parameters_and_depth_have_bounds() {
    let transactions = (0..2000).map(|n| format!("&t[{n}][app_id]=a&t[{n}][usage][hits]=1"));
    let many = format!("provider_key=pk{}", transactions.collect::<String>());
    let query = Query::parse(many.as_bytes()).unwrap();
    let transactions = query.params().unwrap().get("t").unwrap().hash().unwrap();
    assert_eq!(transactions.len(), 2000);
    let last = transactions.get("1999").unwrap().hash().unwrap();
    assert_eq!(last.text("app_id"), Some("a"));

    let found = PARAMETERS_MAX + 1;
    assert_eq!(read(&"&".repeat(PARAMETERS_MAX)), Err(BadRequest::Count { found }.into()));
    assert!(read(&"a&".repeat(PARAMETERS_MAX - 1)).is_ok());
    assert_eq!(read(&"a".repeat(QUERY_BYTES_MAX + 1)), Err(BadRequest::Size.into()));
    for (brackets, bad) in [("[a]", DEPTH_MAX), ("[]", 2 * DEPTH_MAX), ("[][a]", DEPTH_MAX)] {
        let deep = format!("a{}=1", brackets.repeat(bad));
        assert_eq!(read(&deep), Err(BadRequest::Depth.into()), "{brackets}");
    }
    assert!(read(&format!("a{}=1", "[a]".repeat(DEPTH_MAX - 1))).is_ok());
    assert_eq!(read(&format!("a{}=1", "[a]".repeat(100_000))), Err(BadRequest::Depth.into()));
}

#[test]
fn what_a_form_says_wins_over_the_query() {
    let form = Query::parse(b"a=2&b[x]=1").unwrap();
    let query = Query::parse(b"a=1&c=3&b[y]=1").unwrap().with_form(form);
    let params = shown_params(query.params().unwrap());
    assert_eq!(params, r#"{"a"=>"2", "c"=>"3", "b"=>{"x"=>"1"}}"#);
}

#[test]
fn secrets_do_not_print() {
    let query = Query::parse(b"provider_key=secret&t[0][user_key]=secret&a[]=secret").unwrap();
    let printed = format!("{query:?}");
    assert!(printed.contains("provider_key") && !printed.contains("secret"), "{printed}");
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_escaped_or_not(mut bytes: Vec<u8>) {
        let _ = Query::parse(&bytes);
        bytes.retain(|byte| *byte != b'%');
        let escaped = bytes.iter().flat_map(|byte| match byte {
            b'&' | b'=' | b'+' | b' ' => vec![*byte],
            byte => format!("%{byte:02x}").into_bytes(),
        });
        let escaped = escaped.collect::<Vec<_>>();
        prop_assert_eq!(Query::parse(&escaped), Query::parse(&bytes));
    }

    #[test]
    fn anything_with_brackets_is_read_or_refused(query in r"([ab]?[\[\]ab]{0,9}(=[12])?&?){0,9}") {
        let _ = read(&query);
    }

    #[test]
    fn texts_read_back_whatever_is_in_them(
        texts in prop::collection::btree_map("[^\\[\\]]{1,5}", ".{0,5}", 0..40),
    ) {
        let pairs = texts.iter().map(|(name, text)| format!("{}={}", escaped(name), escaped(text)));
        let query = pairs.collect::<Vec<_>>().join("&");
        let query = Query::parse(query.as_bytes()).unwrap();
        let params = query.params().unwrap();
        prop_assert_eq!(params.len(), texts.len());
        for (name, text) in &texts {
            prop_assert_eq!(params.text(name), Some(text.as_str()));
        }
    }

    #[test]
    fn escaped_brackets_read_as_brackets(names in prop::collection::vec("[a-c\\[\\]]{1,6}", 0..6)) {
        let plain = names.iter().map(|name| format!("{name}=1")).collect::<Vec<_>>().join("&");
        let hidden = names.iter().map(|name| format!("{}=1", escaped(name)));
        let hidden = hidden.collect::<Vec<_>>().join("&");
        prop_assert_eq!(read(&plain), read(&hidden));
    }
}
