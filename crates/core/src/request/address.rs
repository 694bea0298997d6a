//! The address that a caller is known by, and the proxies that are believed when they name one.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use smallvec::SmallVec;

use crate::request::head::Fields;

/// A block of addresses, written as in `10.0.0.0/8`, `2001:db8::/32`, or as one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AddressRange {
    network: IpAddr,
    prefix_bits: u8,
}

/// The text is not a block of addresses.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidAddressRange {
    /// It does not have the form of one.
    #[error(
        "{0:?} is not a range of addresses: write an address, or one with a length, as in \"10.0.0.0/8\""
    )]
    Form(String),
    /// Its address lies inside the block and not at its start, so one of the two is mistyped.
    #[error(
        "{text:?} does not start at a boundary: write {meant}, or one address without a length"
    )]
    Boundary {
        /// What was written.
        text: String,
        /// The block that holds the address.
        meant: AddressRange,
    },
}

impl AddressRange {
    /// Whether the block holds the address. An IPv4 address written as IPv6 is the IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.network.is_ipv4()
            && masked(address, self.prefix_bits) == self.network
    }
}

/// The address with everything after the first bits set to zero.
fn masked(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
            IpAddr::V4((v4.to_bits() & mask).into())
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(bits)).unwrap_or(0);
            IpAddr::V6((v6.to_bits() & mask).into())
        }
    }
}

fn bits_max(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

impl FromStr for AddressRange {
    type Err = InvalidAddressRange;

    fn from_str(text: &str) -> Result<Self, InvalidAddressRange> {
        let form = || InvalidAddressRange::Form(text.to_owned());
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| form())?;
        let mut prefix_bits = match length {
            None => bits_max(written),
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| form())?
            }
            Some(_) => return Err(form()),
        };
        if prefix_bits > bits_max(written) {
            return Err(form());
        }
        // `::ffff:10.0.0.0/104` is `10.0.0.0/8`; a shorter length would reach beyond IPv4.
        let address = written.to_canonical();
        if address.is_ipv4() != written.is_ipv4() {
            prefix_bits = prefix_bits.checked_sub(96).ok_or_else(form)?;
        }
        let range = Self { network: masked(address, prefix_bits), prefix_bits };
        if range.network == address {
            Ok(range)
        } else {
            Err(InvalidAddressRange::Boundary { text: text.to_owned(), meant: range })
        }
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix_bits)
    }
}

/// The address of the caller: the peer's, or what trusted proxies say of it.
///
/// X-Forwarded-For is read from its end, where each proxy adds the address that it was called from,
/// and only as far as trusted proxies wrote it. What stands before was written by the caller, who
/// may claim anything. An entry that is no address ends the reading at the proxy that wrote it.
pub fn forwarded_for(fields: Fields<'_>, peer: IpAddr, trusted: &[AddressRange]) -> IpAddr {
    follow(fields, peer, trusted).0
}

/// How far trusted proxies are believed.
enum Reach {
    /// The peer is none of them.
    Nowhere,
    /// To the so manieth entry from the end, from 1: the last that a trusted proxy wrote.
    Entry(usize),
    /// All entries were written by trusted proxies.
    Everything,
}

fn follow(fields: Fields<'_>, peer: IpAddr, trusted: &[AddressRange]) -> (IpAddr, Reach) {
    let is_trusted = |address| trusted.iter().any(|range| range.contains(address));
    let mut caller = peer.to_canonical();
    if !is_trusted(caller) {
        return (caller, Reach::Nowhere);
    }
    let values = fields.values("x-forwarded-for").rev();
    let entries = values.flat_map(|value| value.rsplit(|byte| *byte == b','));
    for (place, entry) in entries.enumerate() {
        let Some(address) = entry_address(entry) else {
            return (caller, Reach::Entry(place + 1));
        };
        caller = address;
        if !is_trusted(caller) {
            return (caller, Reach::Entry(place + 1));
        }
    }
    (caller, Reach::Everything)
}

/// The scheme that the caller used, where a trusted proxy says so in X-Forwarded-Proto.
///
/// Of several entries the one is taken that stands as far from the end as the caller's address does in
/// X-Forwarded-For: the proxy that was called from that address wrote both. Where there are fewer,
/// proxies passed on what they were told, and the first says it.
pub fn forwarded_scheme(
    fields: Fields<'_>,
    peer: IpAddr,
    trusted: &[AddressRange],
) -> Option<&'static str> {
    let entries: SmallVec<[&[u8]; 4]> = fields
        .values("x-forwarded-proto")
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .collect();
    let place = match follow(fields, peer, trusted).1 {
        Reach::Nowhere => return None,
        Reach::Entry(from_end) => entries.len().saturating_sub(from_end),
        Reach::Everything => 0,
    };
    let entry = entries.get(place)?;
    // Some proxies name the scheme of a WebSocket.
    let is_one_of =
        |names: [&str; 2]| names.iter().any(|name| entry.eq_ignore_ascii_case(name.as_bytes()));
    if is_one_of(["https", "wss"]) {
        Some("https")
    } else if is_one_of(["http", "ws"]) {
        Some("http")
    } else {
        None
    }
}

/// The address of one entry; some proxies add a port, and some put IPv6 in brackets.
fn entry_address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let address = match bare {
        Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => text.parse().ok().or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())),
    };
    address.map(|address| address.to_canonical())
}

/// The address under which failures and connections are counted: a whole /64 of IPv6 is one caller,
/// since that is what one subscriber is given.
pub fn counted_address(address: IpAddr) -> IpAddr {
    let address = address.to_canonical();
    if address.is_ipv4() { address } else { masked(address, 64) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::head::fields_of;
    use http::{HeaderMap, HeaderValue};

    fn range(text: &str) -> AddressRange {
        text.parse().unwrap()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses() {
        for (written, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::ffff:10.0.0.0/104", "10.1.2.3", "11.1.2.3"),
            ("::1", "::1", "127.0.0.1"),
        ] {
            assert!(range(written).contains(ip(inside)), "{written} {inside}");
            assert!(!range(written).contains(ip(outside)), "{written} {outside}");
        }
    }

    #[test]
    fn a_range_reads_back_as_it_is_shown() {
        for text in ["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32", "::/0", "0.0.0.0/0"] {
            assert_eq!(range(text).to_string(), text);
        }
        assert_eq!(range("::ffff:10.0.0.0/104").to_string(), "10.0.0.0/8");
    }

    #[test]
    fn a_mistyped_range_is_explained() {
        let texts = [
            "",
            "10.0.0",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "a/8",
            "::ffff:0:0/8",
        ];
        for text in texts {
            let error = text.parse::<AddressRange>().unwrap_err();
            assert!(matches!(error, InvalidAddressRange::Form(_)), "{text}: {error}");
        }
        let error = "10.1.2.3/8".parse::<AddressRange>().unwrap_err().to_string();
        insta::assert_snapshot!(error, @r#""10.1.2.3/8" does not start at a boundary: write 10.0.0.0/8, or one address without a length"#);
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = [range("10.0.0.0/8"), range("2001:db8::/32")];
        for (peer, fields, caller) in [
            ("203.0.113.9", &["192.0.2.1"][..], "203.0.113.9"),
            ("::ffff:203.0.113.9", &["192.0.2.1"], "203.0.113.9"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1"], "192.0.2.1"),
            ("::ffff:10.0.0.1", &["::ffff:192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.1"], "192.0.2.1"),
            ("10.0.0.1", &["6.6.6.6, 192.0.2.1 ,10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["6.6.6.6", "192.0.2.1", "10.0.0.2"], "192.0.2.1"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &["6.6.6.6, nonsense, 10.0.0.2"], "10.0.0.2"),
            ("10.0.0.1", &["192.0.2.1, "], "10.0.0.1"),
            ("10.0.0.1", &["192.0.2.1:4711"], "192.0.2.1"),
            ("2001:db8::1", &["[2001:dead::1]:4711"], "2001:dead::1"),
            ("2001:db8::1", &["[2001:dead::1]"], "2001:dead::1"),
        ] {
            let mut headers = HeaderMap::new();
            for field in fields {
                headers.append("x-forwarded-for", HeaderValue::from_static(field));
            }
            assert_eq!(
                forwarded_for(Fields(&fields_of(&headers)), ip(peer), &proxies),
                ip(caller),
                "{peer} {fields:?}"
            );
            assert_eq!(
                forwarded_for(Fields(&fields_of(&headers)), ip(peer), &[]),
                ip(peer).to_canonical()
            );
        }
    }

    #[test]
    fn the_scheme_is_that_of_the_proxy_that_the_caller_called() {
        let proxies = [range("10.0.0.0/8")];
        for (addresses, schemes, scheme) in [
            ("192.0.2.1", &["https"][..], Some("https")),
            ("192.0.2.1", &["HTTPS"], Some("https")),
            ("192.0.2.1", &[" Http "], Some("http")),
            ("192.0.2.1", &["wss"], Some("https")),
            ("", &["https, http"], Some("https")),
            ("", &["https", "http"], Some("https")),
            ("10.0.0.3, 10.0.0.2", &["https, http"], Some("https")),
            ("192.0.2.1, 10.0.0.2", &["https, http"], Some("https")),
            ("192.0.2.1, 10.0.0.2", &["https,http,"], Some("https")),
            ("192.0.2.1, 10.0.0.2", &["http", "https", "http"], Some("https")),
            ("192.0.2.1, 10.0.0.2", &["https"], Some("https")),
            // The caller wrote the first itself.
            ("192.0.2.1", &["https, http"], Some("http")),
            ("nonsense, 10.0.0.2", &["http, https, http"], Some("https")),
            ("192.0.2.1", &["ftp"], None),
            ("192.0.2.1", &["https;"], None),
            ("192.0.2.1", &[""], None),
            ("192.0.2.1", &[], None),
        ] {
            let mut headers = HeaderMap::new();
            if !addresses.is_empty() {
                headers.append("x-forwarded-for", HeaderValue::from_static(addresses));
            }
            for field in schemes {
                headers.append("x-forwarded-proto", HeaderValue::from_static(field));
            }
            let fields = fields_of(&headers);
            let fields = Fields(&fields);
            let found = forwarded_scheme(fields, ip("10.0.0.1"), &proxies);
            assert_eq!(found, scheme, "{addresses} {schemes:?}");
            assert_eq!(forwarded_scheme(fields, ip("203.0.113.9"), &proxies), None);
        }
    }

    #[test]
    fn a_subscriber_is_counted_once() {
        for (address, counted) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(counted_address(ip(address)), ip(counted));
        }
    }
}
