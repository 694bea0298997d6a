//! The style sheet, the script and the icon: part of the program, cached for as long as they stay the
//! same.

use std::sync::LazyLock;

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use sha2::{Digest, Sha256};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const ASSETS: &[Asset] = &[
    Asset {
        name: "style.css",
        kind: "text/css; charset=utf-8",
        bytes: include_bytes!("../assets/style.css"),
    },
    Asset {
        name: "console.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/console.js"),
    },
    Asset {
        name: "passkey.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/passkey.js"),
    },
    Asset {
        name: "push.js",
        kind: "text/javascript; charset=utf-8",
        bytes: include_bytes!("../assets/push.js"),
    },
    Asset { name: "icon.svg", kind: "image/svg+xml", bytes: include_bytes!("../assets/icon.svg") },
    Asset {
        name: "keystile.webmanifest",
        kind: "application/manifest+json",
        bytes: include_bytes!("../assets/keystile.webmanifest"),
    },
];

/// Where a page finds an asset: the address changes with the content.
pub(crate) fn address(name: &str) -> String {
    static VERSION: LazyLock<String> = LazyLock::new(|| {
        let mut hash = Sha256::new();
        for asset in ASSETS {
            hash.update(asset.bytes);
        }
        hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
    });
    format!("/assets/{name}?v={}", *VERSION)
}

pub(crate) async fn asset(Path(name): Path<String>) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (CACHE_CONTROL, HeaderValue::from_static("public, max-age=86400")),
    ];
    (headers, asset.bytes).into_response()
}

/// At the root, because a service worker serves only what is below it. Never cached, so that a new
/// version of the program has its own at once.
pub(crate) async fn service_worker() -> Response {
    let headers = [
        (CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8")),
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    (headers, include_bytes!("../assets/service-worker.js").as_slice()).into_response()
}
