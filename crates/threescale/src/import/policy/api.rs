//! An API: its upstream, its hosts, and where its callers show their key.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use keystile_core::text::printable;

use super::key::write_key;
use super::quoted::quoted;
use crate::account::gateway::GatewayContent;
use crate::import::snapshot::ServiceSnapshot;

/// Writes the table of an API, without its operations.
pub(super) fn write_api(
    text: &mut String,
    one: &ServiceSnapshot,
    (name, content): (&str, Option<&GatewayContent>),
    needs_hosts: bool,
) {
    let proxy = |field: &str| content?.proxy(field)?.as_str();
    let _ = writeln!(text, "\n# {} ({})", printable(&one.service.name), one.service.id);
    let _ = writeln!(text, "[api.{}]", quoted(name));
    write_upstream(text, proxy("api_backend"));
    let mut hosts = BTreeSet::new();
    for there in content.into_iter().flat_map(GatewayContent::hosts) {
        let lower = there.to_ascii_lowercase();
        let host = lower
            .rsplit_once(':')
            .filter(|(_, port)| is_port(port))
            .map_or(&*lower, |(host, _)| host);
        if !is_host(host.strip_prefix("*.").unwrap_or(host)) {
            let _ = writeln!(
                text,
                "# not taken over, because no host is written so: {}",
                quoted(there)
            );
            continue;
        }
        if host != lower {
            let _ = writeln!(
                text,
                "# the port of {} is not taken over: each port is meant",
                quoted(there)
            );
        }
        hosts.insert(quoted(host));
    }
    if !hosts.is_empty() {
        let hosts: Vec<String> = hosts.into_iter().collect();
        let _ = writeln!(text, "hosts = [{}]", hosts.join(", "));
    } else if needs_hosts {
        let host =
            format!("{name}.invalid").replace(['_', '.'], "-").replace("-invalid", ".invalid");
        let _ = writeln!(text, "hosts = [{}]   # write the host that callers name", quoted(&host));
    }
    write_key(text, &one.service.authentication, proxy);
}

fn write_upstream(text: &mut String, address: Option<&str>) {
    let Some(url) = address.and_then(plain) else {
        let _ = writeln!(text, "upstream = \"http://127.0.0.1:3000\"   # write where the API is");
        return;
    };
    let _ = writeln!(text, "upstream = {}", quoted(&url.origin().ascii_serialization()));
    let path = url.path().trim_end_matches('/');
    if !path.is_empty() {
        let path = quoted(path);
        let _ = writeln!(
            text,
            "# NOT taken over: there, {path} stands before each path. Let the API take paths"
        );
        let _ = writeln!(text, "# without it, or put a proxy that adds it between");
    }
    if url.query().is_some() {
        let _ = writeln!(text, "# NOT taken over: there, the address of the API has a query");
    }
}

/// An address of a server, which tells nobody's password.
fn plain(address: &str) -> Option<url::Url> {
    let parsed = url::Url::parse(address).ok()?;
    let is_plain = matches!(parsed.scheme(), "http" | "https")
        && parsed.username().is_empty()
        && parsed.password().is_none()
        && parsed.host_str().is_some();
    is_plain.then_some(parsed)
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

fn is_host(host: &str) -> bool {
    let is_host_char = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    !host.is_empty()
        && host.len() <= 253
        && host.bytes().all(is_host_char)
        && host.starts_with(|c: char| c.is_ascii_alphanumeric())
        && host.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !host.contains("..")
}
