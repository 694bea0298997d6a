//! Where the demo takes place: addresses that are free, the configuration file, and what a shell calls it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where the gate is, where that is free.
pub(super) const GATE_DEFAULT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7070);
/// Where health and metrics are, where that is free.
pub(super) const CONSOLE_DEFAULT: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 7080);

/// The address that was asked for, or the usual one where it is free, or one with a free port.
pub(super) fn address(
    asked: Option<SocketAddr>,
    usual: SocketAddr,
    argument: &str,
) -> anyhow::Result<SocketAddr> {
    // The gate shares its port among its cores, and so would with another process: look first.
    let free = |address: SocketAddr| {
        std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr())
    };
    match asked {
        Some(address) => {
            free(address).with_context(|| format!("{argument} {address} cannot be listened on"))
        }
        None => Ok(free(usual).or_else(|_| free(SocketAddr::new(usual.ip(), 0)))?),
    }
}

/// The configuration file; a file, so that it can be read, changed and loaded again.
pub(super) fn configuration(gate: SocketAddr, console: SocketAddr, api: SocketAddr) -> String {
    format!(
        r#"data = "data"

[gate]
listen = ["{gate}"]
drain_timeout = "1 s"

[console]
listen = "{console}"

[api.bookmarks]
upstream = ["http://{api}"]

[plan.open]
allow = ["bookmarks: *"]
write_budget = ["20 per minute"]              # past it, the key locks
lock = {{ level = "writes", until = "unlocked" }}

[plan.trusted]
allow = ["bookmarks: *"]
write_budget = ["5000 per hour"]

[plan.visitor]
keyless = true                                # callers without a key
allow = ["bookmarks: GET *"]
rate_limit = ["5 per second"]
"#
    )
}

/// How to call this program from any directory.
pub(super) fn program() -> String {
    let called = std::env::args_os().next().map(PathBuf::from).unwrap_or_default();
    // Found by its bare name, it will be found by that again.
    let is_bare = called.components().count() == 1;
    match std::env::current_exe() {
        Ok(file) if !is_bare => quoted(&file),
        Ok(_) | Err(_) => quoted(&called),
    }
}

/// A path as a shell takes it.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    if text.chars().all(|c| c.is_alphanumeric() || "/._-+,:@=".contains(c)) {
        return text;
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn a_path_stays_one_word_in_a_shell() {
        for (path, word) in
            [("/tmp/a-1.b", "/tmp/a-1.b"), ("/tmp/it's a b", r"'/tmp/it'\''s a b'"), ("", "")]
        {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }

    #[test]
    fn the_configuration_is_without_mistakes_or_warnings() {
        let port = |port| SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        let text = configuration(port(1), port(2), port(3));
        let configuration = config::from_text(&text, "keystile.toml", Path::new("")).unwrap();
        assert!(configuration.warnings.is_empty());
        assert_eq!(configuration.gate.listen, [port(1)]);
    }

    #[test]
    fn a_taken_port_is_left_alone() {
        let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let usual = taken.local_addr().unwrap();
        let other = address(None, usual, "--gate").unwrap();
        assert!(other.port() != usual.port() && other.port() != 0);
        assert!(address(Some(usual), usual, "--gate").is_err());
    }
}
