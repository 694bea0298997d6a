//! Who writes, as a number of the journal.

use std::net::IpAddr;

use keystile_core::budget::Writer;

/// Nobody known.
pub(crate) const NOBODY: i64 = 0;

/// The number of whoever writes: keys have that of their row, addresses a negative one. Two addresses may
/// share a number and then share their budgets, which admits less, never more.
pub(crate) fn number(writer: Writer) -> i64 {
    match writer {
        Writer::Key { key, .. } => key,
        Writer::Address(address) => address_number(address),
    }
}

pub(crate) fn address_number(address: IpAddr) -> i64 {
    // FNV-1a: it must be the same in every build, because the journal keeps it.
    let octets = match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    };
    let hash = octets.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01B3)
    });
    -i64::try_from(hash >> 1).unwrap_or(i64::MAX).max(1)
}
