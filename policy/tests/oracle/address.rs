//! Addresses and CIDRs as integers.

use std::net::{IpAddr, Ipv6Addr};

/// An address: its family and its bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Number {
    pub(crate) is_v6: bool,
    pub(crate) bits: u128,
}

pub(crate) fn number(ip: IpAddr) -> Number {
    match ip {
        IpAddr::V4(v4) => Number { is_v6: false, bits: u128::from(u32::from(v4)) },
        IpAddr::V6(v6) => Number { is_v6: true, bits: u128::from(v6) },
    }
}

/// Whether a CIDR contains an address. Octets may have leading zeros; host bits are ignored; an IPv4 address mapped into IPv6 is an
/// IPv4 address.
pub(crate) fn holds(cidr: &str, ip: IpAddr) -> bool {
    let (address, length) = cidr.split_once('/').unwrap();
    let mut length: u32 = length.parse().unwrap();
    let mut network = if address.contains(':') {
        number(IpAddr::V6(address.parse::<Ipv6Addr>().unwrap()))
    } else {
        let octets = address.split('.').map(|octet| octet.parse::<u128>().unwrap());
        Number { is_v6: false, bits: octets.fold(0, |bits, octet| bits * 256 + octet) }
    };
    if network.is_v6 && network.bits >> 32 == 0xffff && length >= 96 {
        network = Number { is_v6: false, bits: network.bits & 0xffff_ffff };
        length -= 96;
    }
    let ip = number(ip);
    if ip.is_v6 != network.is_v6 {
        return false;
    }
    let host_bits = if ip.is_v6 { 128 - length } else { 32 - length };
    host_bits == 128 || ip.bits >> host_bits == network.bits >> host_bits
}

/// Whether two CIDRs overlap.
pub(crate) fn overlap(one: &str, other: &str) -> bool {
    holds(one, first(other)) || holds(other, first(one))
}

fn first(cidr: &str) -> IpAddr {
    cidr.split_once('/').unwrap().0.parse().unwrap()
}

/// `127.0.0.0/8` and `::1`.
pub(crate) fn is_loopback(ip: IpAddr) -> bool {
    holds("127.0.0.0/8", ip) || holds("::1/128", ip)
}
