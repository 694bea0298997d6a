#![no_main]
//! Of every head that is read at all, the canonical form is read as itself, and holds nothing that two
//! servers could read differently.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, Version};
use keystile_core::request::grammar::{GrammarRules, Head, canonical, fold_path, strip_untrusted};
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
    let head =
        Head { method: &Method::DELETE, uri: &uri, version: Version::HTTP_11, headers: &headers };
    let Ok(read) = canonical(&head, &GrammarRules::default()) else { return };
    let path = read.path.as_ref();
    assert!(path.starts_with('/') && path.is_ascii() && !path.contains("//"));
    assert!(path.split('/').all(|segment| segment != "." && segment != ".."));
    assert_eq!(fold_path(path), read.folded);
    let again: Uri = path.parse().expect("a canonical path is a target");
    let bare =
        HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_static("a.example.org"))]);
    let head =
        Head { method: &Method::DELETE, uri: &again, version: Version::HTTP_11, headers: &bare };
    let again = canonical(&head, &GrammarRules::default()).expect("a canonical path is read");
    assert_eq!((again.path.as_ref(), again.folded), (path, read.folded.clone()));
    strip_untrusted(&mut headers);
    assert!(!headers.keys().any(|name| name.as_str().starts_with("x-keystile-")));
});
