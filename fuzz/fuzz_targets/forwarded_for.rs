#![no_main]
//! Nobody but a trusted proxy can choose the address that a caller is counted under.

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use keystile_core::request::address::{AddressRange, counted_address, forwarded_for};
use keystile_core::request::head::{Fields, fields_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|parts: ([u8; 16], Vec<Vec<u8>>, &str)| {
    let (peer, fields, range) = parts;
    let peer = IpAddr::from(peer).to_canonical();
    let mut headers = HeaderMap::new();
    for field in fields {
        if let Ok(value) = HeaderValue::from_bytes(&field) {
            headers.append("x-forwarded-for", value);
        }
    }
    let fields = fields_of(&headers);
    let fields = Fields(&fields);
    assert_eq!(forwarded_for(fields, peer, &[]), peer);
    let Ok(range) = range.parse::<AddressRange>() else { return };
    assert_eq!(range.to_string().parse::<AddressRange>(), Ok(range));
    let caller = forwarded_for(fields, peer, &[range]);
    assert!(range.contains(peer) || caller == peer);
    counted_address(caller);
});
