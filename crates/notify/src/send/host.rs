//! The names by which this machine is known to others.

/// Whether a name is one that other machines may know.
pub(crate) fn is_qualified(name: &str) -> bool {
    name.contains('.') && !name.ends_with(".localhost") && name.parse::<std::net::IpAddr>().is_err()
}

/// The host as the right side of a Message-ID: only what a domain may hold.
pub(super) fn domain(host: &str) -> String {
    let name = host.split(':').next().unwrap_or_default();
    let is_domain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let name = name.chars().filter(is_domain).take(200).collect::<String>();
    let name = name.trim_matches(['.', '-']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_message_id_is_a_domain() {
        for (host, shown) in [
            ("gate.example.org", "gate.example.org"),
            ("Gate.example.org:8400", "gate.example.org"),
            ("127.0.0.1:8400", "127.0.0.1"),
            ("[::1]:8400", "localhost"),
            ("a>\r\nBcc: b", "abcc"),
            ("", "localhost"),
        ] {
            assert_eq!(domain(host), shown, "{host:?}");
        }
    }
}
