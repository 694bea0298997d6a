//! Takes Swagger UI out of the crate that carries it, as gzip files.
//!
//! The members of its zip file are deflated as gzip wants them: each gets another head and tail, and
//! nothing is unpacked or packed.

use std::path::PathBuf;
use std::{env, fs};

const WANTED: [&str; 2] = ["dist/swagger-ui-bundle.js", "dist/swagger-ui.css"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("set by cargo"));
    let zip = utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
    let short =
        |at: usize| usize::from(u16::from_le_bytes(zip[at..at + 2].try_into().expect("two bytes")));
    let long =
        |at: usize| u32::from_le_bytes(zip[at..at + 4].try_into().expect("four bytes")) as usize;
    let end = zip.windows(4).rposition(|bytes| bytes == b"PK\x05\x06");
    let end = end.expect("a zip file ends with its directory");
    let (mut at, mut found) = (long(end + 16), 0);
    for _ in 0..short(end + 10) {
        assert_eq!(&zip[at..at + 4], b"PK\x01\x02", "an entry of the directory");
        let (size, name_len) = (long(at + 20), short(at + 28));
        let name = str::from_utf8(&zip[at + 46..at + 46 + name_len]).expect("names are ASCII");
        let file = name.split_once('/').map(|(_, file)| file).filter(|file| WANTED.contains(file));
        if let Some(file) = file {
            assert_eq!(short(at + 10), 8, "{name} is deflated");
            let local = long(at + 42);
            let data = local + 30 + short(local + 26) + short(local + 28);
            let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
            gzip.extend_from_slice(&zip[data..data + size]);
            // The check sum and the length, in the order in which the directory has them.
            gzip.extend_from_slice(&zip[at + 16..at + 20]);
            gzip.extend_from_slice(&zip[at + 24..at + 28]);
            let name = format!("{}.gz", file.trim_start_matches("dist/"));
            fs::write(out.join(name), gzip).expect("OUT_DIR is writable");
            found += 1;
        }
        at += 46 + name_len + short(at + 30) + short(at + 32);
    }
    assert_eq!(found, WANTED.len(), "the crate carries Swagger UI");
}
