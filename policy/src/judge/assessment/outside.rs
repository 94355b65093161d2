//! Names for many addresses outside of the cluster: the ranges that they are in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::cluster::party::Party;

/// Ranges that are never routed on the internet: RFC 1918, RFC 6598, RFC 3927, RFC 4193, RFC 4291.
const LOCAL: [(&str, IpNet); 7] = [
    ("private", v4(10, 0, 8)),
    ("private", v4(172, 16, 12)),
    ("private", v4(192, 168, 16)),
    ("private", v4(100, 64, 10)),
    ("link-local", v4(169, 254, 16)),
    ("private", v6(0xfc00, 7)),
    ("link-local", v6(0xfe80, 10)),
];

/// All other addresses.
const INTERNET: [IpNet; 2] = [v4(0, 0, 0), v6(0, 0)];

const fn v4(first: u8, second: u8, prefix: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(std::net::Ipv4Addr::new(first, second, 0, 0), prefix))
}

const fn v6(first: u16, prefix: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(std::net::Ipv6Addr::new(first, 0, 0, 0, 0, 0, 0, 0), prefix))
}

/// The ranges that outside addresses are named by: those that settings name, those of the `ipBlock`s of policies, the private
/// ones, and the internet.
#[derive(Clone, Debug, Default)]
pub struct OutsideRanges {
    /// The name, or none for a block of a policy.
    named: BTreeMap<IpNet, String>,
    /// The lengths of their prefixes, the longest first.
    lengths: Vec<u8>,
}

impl OutsideRanges {
    /// Ranges with names, and blocks of policies.
    #[must_use]
    pub fn new(named: &BTreeMap<String, IpNet>, blocks: impl IntoIterator<Item = IpNet>) -> Self {
        // A block of one address names nothing, and one of all addresses is the internet.
        let is_range = |block: &IpNet| block.prefix_len() > 0 && block.prefix_len() < block.max_prefix_len();
        let blocks = blocks.into_iter().filter(is_range).map(|block| (block.trunc(), String::new()));
        let mut all: BTreeMap<IpNet, String> = blocks.collect();
        all.extend(LOCAL.map(|(name, range)| (range, name.to_owned())));
        all.extend(named.iter().map(|(name, range)| (range.trunc(), name.clone())));
        let lengths: BTreeSet<u8> = all.keys().map(IpNet::prefix_len).collect();
        Self { named: all, lengths: lengths.into_iter().rev().collect() }
    }

    /// The smallest range that an address is in.
    #[must_use]
    pub fn of(&self, ip: IpAddr) -> Party {
        let smallest = self.lengths.iter().find_map(|length| {
            let range = IpNet::new(ip, *length).ok()?.trunc();
            self.named.get_key_value(&range)
        });
        match smallest {
            Some((cidr, name)) => Party::Range { name: name.clone(), cidr: *cidr },
            None => Party::Range { name: "internet".to_owned(), cidr: INTERNET[usize::from(ip.is_ipv6())] },
        }
    }
}

/// The ranges within a range that are not on the internet; none if the range is not the internet.
pub(in crate::judge) fn local_ranges_in(range: &IpNet) -> Vec<IpNet> {
    if !INTERNET.contains(range) {
        return Vec::new();
    }
    LOCAL.into_iter().map(|(_, local)| local).filter(|local| range.contains(local)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_the_smallest_range_that_has_a_name() {
        let named = BTreeMap::from([("vpn".to_owned(), "198.51.100.0/25".parse().unwrap())]);
        let blocks = ["198.51.100.0/24", "203.0.113.7/32", "0.0.0.0/0", "10.20.0.0/16"].map(|it| it.parse().unwrap());
        let ranges = OutsideRanges::new(&named, blocks);
        for (ip, expected) in [
            ("198.51.100.7", "vpn (198.51.100.0/25)"),
            ("198.51.100.200", "198.51.100.0/24"),
            ("203.0.113.7", "internet (0.0.0.0/0)"),
            ("10.20.1.1", "10.20.0.0/16"),
            ("10.21.1.1", "private (10.0.0.0/8)"),
            ("172.31.255.255", "private (172.16.0.0/12)"),
            ("172.32.0.0", "internet (0.0.0.0/0)"),
            ("100.64.0.1", "private (100.64.0.0/10)"),
            ("169.254.169.254", "link-local (169.254.0.0/16)"),
            ("fd00::1", "private (fc00::/7)"),
            ("fe80::1", "link-local (fe80::/10)"),
            ("2001:db8::1", "internet (::/0)"),
        ] {
            assert_eq!(ranges.of(ip.parse().unwrap()).to_string(), expected, "{ip}");
        }
    }

    #[test]
    fn a_rule_for_the_internet_leaves_local_ranges_out() {
        let except = |range: &str| local_ranges_in(&range.parse().unwrap()).len();
        assert_eq!(
            (except("0.0.0.0/0"), except("::/0"), except("10.0.0.0/8"), except("198.51.100.0/24")),
            (5, 2, 0, 0)
        );
    }
}
