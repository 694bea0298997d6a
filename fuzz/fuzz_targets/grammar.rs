#![no_main]
//! Of every head that is read at all, the canonical form is read as itself, and holds nothing that two
//! servers could read differently.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use keystile_core::request::grammar::{GrammarRules, canonical, fold_path, strip_untrusted};
use keystile_core::request::head::{Fields, HttpVersion, RequestHead, Target, fields_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: (&str, Vec<(&str, Vec<u8>)>)| {
    let (target, fields) = parts;
    let Ok(uri) = target.parse::<Uri>() else { return };
    let mut headers = HeaderMap::new();
    headers.insert("host", HeaderValue::from_static("a.example.org"));
    for (name, value) in &fields {
        if let (Ok(name), Ok(value)) = (name.parse::<HeaderName>(), HeaderValue::from_bytes(value))
        {
            headers.append(name, value);
        }
    }
    let sent = headers.clone();
    let fields = fields_of(&sent);
    let head = delete(&uri, Fields(&fields));
    let Ok(read) = canonical(&head, &GrammarRules::default()) else { return };
    let path = read.path.as_ref();
    assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    assert_eq!(fold_path(path), read.folded);
    let again: Uri = path.parse().expect("a canonical path is a target");
    let bare =
        HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a.example.org"))]);
    let bare = fields_of(&bare);
    let head = delete(&again, Fields(&bare));
    let again = canonical(&head, &GrammarRules::default()).expect("a canonical path is read");
    assert_eq!((again.path.as_ref(), again.folded), (path, read.folded.clone()));
    strip_untrusted(&mut headers);
    assert!(!headers.keys().any(|name| name.as_str().starts_with("x-keystile-")));
});

fn delete<'a>(uri: &'a Uri, fields: Fields<'a>) -> RequestHead<'a> {
    RequestHead {
        method: "DELETE",
        target: Target::from(uri),
        version: HttpVersion::Http11,
        fields,
    }
}
