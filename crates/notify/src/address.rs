//! Where a message may be sent: a host is resolved, every address of it is checked, and one that was
//! checked is connected to.
//!
//! # What this protects
//! The addresses of webhooks and push services come from a file and from browsers. A request to one
//! must not reach what only this machine or its network can reach: a metadata service, a database, the
//! console itself. The check is on the resolved address, so that a name cannot lead inside, and the
//! connection is made to the very address that was checked, so that a name that resolves differently
//! the second time gains nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use keystile_core::request::address::AddressRange;
use url::{Host, Url};

/// Resolves and checks.
#[derive(Debug)]
pub(crate) struct AddressGuard {
    allowed: Vec<AddressRange>,
    names: Names,
}

/// Where names are looked up.
#[derive(Debug)]
enum Names {
    System,
    /// What tests say, name by name.
    #[cfg(test)]
    Fixed(Vec<(String, Vec<IpAddr>)>),
}

/// Why nothing was sent to an address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    /// The name has no address, now.
    #[error("{host} cannot be resolved: {fault}")]
    Unresolved {
        /// The name.
        host: String,
        /// What the resolver said.
        fault: String,
    },
    /// It is, or resolves to, an address that is not public.
    #[error(
        "{host} is at {address}, which is {class}: nothing is sent there unless that range is allowed"
    )]
    Inside {
        /// The name.
        host: String,
        /// The first of its addresses that is not public.
        address: IpAddr,
        /// What the address is.
        class: AddressClass,
    },
    /// It is plain HTTP to an address outside the allowed ranges.
    #[error("{host} would be sent plain HTTP, which anybody on the way can read: use https")]
    Plain {
        /// The name.
        host: String,
    },
}

impl AddressGuard {
    pub(crate) fn new(allowed: Vec<AddressRange>) -> Self {
        Self { allowed, names: Names::System }
    }

    #[cfg(test)]
    pub(crate) fn resolving(allowed: Vec<AddressRange>, names: Vec<(String, Vec<IpAddr>)>) -> Self {
        Self { allowed, names: Names::Fixed(names) }
    }

    /// The addresses of the URL's host, all of them checked. One that is not public refuses all: a name
    /// with an address on either side is a mistake or an attack.
    pub(crate) async fn resolve(&self, url: &Url) -> Result<Vec<SocketAddr>, AddressError> {
        let host = url.host_str().unwrap_or_default().to_owned();
        let port = url.port_or_known_default().unwrap_or(443);
        let addresses = match url.host() {
            Some(Host::Ipv4(address)) => vec![IpAddr::V4(address)],
            Some(Host::Ipv6(address)) => vec![IpAddr::V6(address)],
            Some(Host::Domain(name)) => self.look_up(name, port).await?,
            None => Vec::new(),
        };
        if addresses.is_empty() {
            return Err(AddressError::Unresolved { host, fault: "it has no address".to_owned() });
        }
        self.check(url, &addresses)?;
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }

    /// What is wrong with a URL whose host is written as an address; a name is not looked up.
    pub(crate) fn check_written(&self, url: &Url) -> Result<(), AddressError> {
        match url.host() {
            Some(Host::Ipv4(address)) => self.check(url, &[IpAddr::V4(address)]),
            Some(Host::Ipv6(address)) => self.check(url, &[IpAddr::V6(address)]),
            Some(Host::Domain(_)) | None => Ok(()),
        }
    }

    fn check(&self, url: &Url, addresses: &[IpAddr]) -> Result<(), AddressError> {
        let host = || url.host_str().unwrap_or_default().to_owned();
        for address in addresses {
            if self.allowed.iter().any(|range| range.contains(*address)) {
                continue;
            }
            if let Some(class) = AddressClass::of(*address) {
                return Err(AddressError::Inside { host: host(), address: *address, class });
            }
            if url.scheme() != "https" {
                return Err(AddressError::Plain { host: host() });
            }
        }
        Ok(())
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<IpAddr>, AddressError> {
        match &self.names {
            Names::System => {
                let found = tokio::net::lookup_host((name, port)).await;
                let found = found.map_err(|error| AddressError::Unresolved {
                    host: name.to_owned(),
                    fault: error.to_string(),
                })?;
                Ok(found.map(|address| address.ip()).collect())
            }
            #[cfg(test)]
            Names::Fixed(names) => {
                let found = names.iter().find(|(known, _)| known == name);
                Ok(found.map(|(_, addresses)| addresses.clone()).unwrap_or_default())
            }
        }
    }
}

/// What an address that is not public is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// This machine.
    Loopback,
    /// Nobody's: `0.0.0.0` and `::`, which reach this machine.
    Unspecified,
    /// This network segment, and cloud metadata services.
    LinkLocal,
    /// A private network.
    Private,
    /// Behind a carrier's address translation.
    Shared,
    /// Many receivers at once.
    Multicast,
    /// Set aside: documentation, tunnels, tests, future use.
    Reserved,
}

impl fmt::Display for AddressClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Loopback => "this machine",
            Self::Unspecified => "no address of its own",
            Self::LinkLocal => "on the local link",
            Self::Private => "in a private network",
            Self::Shared => "behind a carrier's address translation",
            Self::Multicast => "a multicast address",
            Self::Reserved => "in a reserved range",
        })
    }
}

impl AddressClass {
    /// What the address is where it is not public; `None` for a public one. An IPv4 address inside an
    /// IPv6 one is the IPv4 address.
    pub fn of(address: IpAddr) -> Option<Self> {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::of_v4(v4),
            IpAddr::V6(v6) => Self::of_v6(v6),
        }
    }

    /// The IPv4 special-purpose registry of IANA (RFC 6890 and later).
    fn of_v4(address: Ipv4Addr) -> Option<Self> {
        match address.octets() {
            [0, ..] => Some(Self::Unspecified),
            [127, ..] => Some(Self::Loopback),
            [169, 254, ..] => Some(Self::LinkLocal),
            [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Some(Self::Private),
            [100, 64..=127, ..] => Some(Self::Shared),
            [224..=239, ..] => Some(Self::Multicast),
            [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
            | [240..=255, ..] => Some(Self::Reserved),
            _ => None,
        }
    }

    /// Only global unicast, `2000::/3`, is public, and not all of it.
    fn of_v6(address: Ipv6Addr) -> Option<Self> {
        let segments = address.segments();
        match segments {
            [0, 0, 0, 0, 0, 0, 0, 0] => Some(Self::Unspecified),
            [0, 0, 0, 0, 0, 0, 0, 1] => Some(Self::Loopback),
            // NAT64 (RFC 6052): how a host with IPv6 alone reaches the IPv4 address in it.
            [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
                let [a, b] = high.to_be_bytes();
                let [c, d] = low.to_be_bytes();
                Self::of_v4(Ipv4Addr::new(a, b, c, d))
            }
            [0xfe80..=0xfebf, ..] => Some(Self::LinkLocal),
            [0xfc00..=0xfdff, ..] => Some(Self::Private),
            [0xff00..=0xffff, ..] => Some(Self::Multicast),
            // Protocol assignments with Teredo, documentation, 6to4: tunnels hold an address in them.
            [0x2001, 0..=0x1ff | 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => {
                Some(Self::Reserved)
            }
            [0x2000..=0x3fff, ..] => None,
            _ => Some(Self::Reserved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().unwrap()
    }

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    fn guard(allowed: &[&str]) -> AddressGuard {
        let names = [
            ("public.example", vec!["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]),
            ("inside.example", vec!["10.0.0.7"]),
            ("either.example", vec!["93.184.215.14", "127.0.0.1"]),
            ("mapped.example", vec!["::ffff:169.254.169.254"]),
            ("localhost", vec!["127.0.0.1", "::1"]),
            ("none.example", vec![]),
        ];
        let addresses = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        AddressGuard::resolving(
            allowed.iter().map(|text| range(text)).collect(),
            names.iter().map(|(name, texts)| ((*name).to_owned(), addresses(texts))).collect(),
        )
    }

    #[tokio::test]
    async fn no_address_leads_inside() {
        for text in [
            "https://127.0.0.1/",
            "https://127.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://0/",
            "https://0.0.0.0/",
            "https://[::]/",
            "https://[::1]/",
            "https://localhost/",
            "https://[::ffff:127.0.0.1]/",
            "https://[::ffff:7f00:1]/",
            "https://[::127.0.0.1]/",
            "https://169.254.169.254/latest/meta-data/",
            "https://[fe80::1]/",
            "https://[fd00::1]/",
            "https://10.0.0.1/",
            "https://172.31.255.255/",
            "https://192.168.1.1/",
            "https://100.64.0.1/",
            "https://224.0.0.1/",
            "https://[ff02::1]/",
            "https://255.255.255.255/",
            "https://192.0.2.1/",
            "https://[64:ff9b::7f00:1]/",
            "https://[64:ff9b::a9fe:a9fe]/",
            "https://[2002:7f00:1::]/",
            "https://[2001:0:7f00:1::]/",
            "https://[2001:db8::1]/",
            "https://[fec0::1]/",
            "https://inside.example/",
            "https://either.example/",
            "https://mapped.example/",
            // Full-width digits become digits.
            "https://１２７.0.0.1/",
        ] {
            let refused = guard(&[]).resolve(&url(text)).await.unwrap_err();
            assert!(matches!(refused, AddressError::Inside { .. }), "{text}: {refused}");
        }
    }

    #[tokio::test]
    async fn public_addresses_are_reached_by_https_only() {
        let guard = guard(&[]);
        for text in [
            "https://public.example/",
            "https://8.8.8.8/",
            "https://[2606:4700::1111]/",
            "https://[64:ff9b::808:808]/",
        ] {
            assert!(guard.resolve(&url(text)).await.is_ok(), "{text}");
        }
        let found = guard.resolve(&url("https://public.example:8443/")).await.unwrap();
        assert_eq!(found[0], "93.184.215.14:8443".parse().unwrap());
        let refused = guard.resolve(&url("http://public.example/")).await.unwrap_err();
        assert_eq!(refused, AddressError::Plain { host: "public.example".to_owned() });
        let refused = guard.resolve(&url("https://none.example/")).await.unwrap_err();
        assert!(matches!(refused, AddressError::Unresolved { .. }));
    }

    #[tokio::test]
    async fn an_allowed_range_is_reached_and_no_other() {
        let guard = guard(&["127.0.0.0/8", "10.0.0.0/24"]);
        for text in ["http://127.0.0.1:9/", "http://[::ffff:127.0.0.1]/", "https://inside.example/"]
        {
            assert!(guard.resolve(&url(text)).await.is_ok(), "{text}");
        }
        for text in ["https://10.0.1.7/", "https://localhost/", "https://169.254.169.254/"] {
            assert!(guard.resolve(&url(text)).await.is_err(), "{text}");
        }
    }

    #[test]
    fn the_edges_of_each_range_are_where_the_registry_has_them() {
        for (text, class) in [
            ("100.63.255.255", None),
            ("100.64.0.0", Some(AddressClass::Shared)),
            ("100.128.0.0", None),
            ("172.15.255.255", None),
            ("172.16.0.0", Some(AddressClass::Private)),
            ("172.32.0.0", None),
            ("198.17.255.255", None),
            ("198.20.0.0", None),
            ("223.255.255.255", None),
            ("239.255.255.255", Some(AddressClass::Multicast)),
            ("240.0.0.0", Some(AddressClass::Reserved)),
            ("2001:1ff::", Some(AddressClass::Reserved)),
            ("2001:200::", None),
            ("1fff::", Some(AddressClass::Reserved)),
            ("4000::", Some(AddressClass::Reserved)),
            ("::ffff:8.8.8.8", None),
        ] {
            assert_eq!(AddressClass::of(text.parse().unwrap()), class, "{text}");
        }
    }
}
