#![no_main]
//! Any bytes may be a query or form of 3scale's. Escaped brackets mean what brackets mean, and what is read is
//! read as a call without a fault.

use keystile_threescale::backend::call::{Call, Operation};
use keystile_threescale::backend::options::Options;
use keystile_threescale::backend::query::Query;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let query = Query::parse(bytes);
    if let Ok(query) = &query
        && let Ok(params) = query.params()
    {
        Call::read(Operation::Authrep, query).expect("the parameters are texts");
        let _ = Options::read(Some(bytes), params);
    }
    // The same bytes as parts, behind the shortest boundary.
    let _ = Query::parse_multipart("multipart/form-data; boundary=x", bytes);
    if !bytes.contains(&b'%') {
        let escaped = bytes.iter().flat_map(|byte| match byte {
            b'&' | b'=' | b'+' | b' ' => vec![*byte],
            byte => format!("%{byte:02x}").into_bytes(),
        });
        let escaped = escaped.collect::<Vec<_>>();
        assert_eq!(Query::parse(&escaped).ok(), query.ok());
    }
});
