//! CIDRs in policies: which network a text means, and whether Kubernetes still accepts that text in a new object.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A parsed CIDR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParsedCidr {
    /// The network: host bits are cleared, and an IPv4-mapped IPv6 network is turned into IPv4.
    pub net: IpNet,
    /// The reason why Kubernetes accepts this text only in objects that contain it already. `None`: it accepts it in any
    /// object.
    pub old_form: Option<OldForm>,
    /// The prefix length as written: 96 more than the network's for an IPv4-mapped address. Upstream compares written lengths
    /// when it checks that an `except` lies within its block.
    pub written_prefix: u8,
}

/// A form of CIDR that Kubernetes accepted before 1.36 and now refuses in new objects (`StrictIPCIDRValidation`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OldForm {
    /// An octet, a group or the prefix length has a leading zero. Some parsers read such octets as octal.
    LeadingZeros,
    /// An IPv4-mapped IPv6 address, `::ffff:10.0.0.0/104`.
    MappedIpv4,
    /// Bits are set beyond the prefix length, `10.1.2.3/8`. It means the network; some parsers read it as one address.
    HostBits,
}

/// The API server's message for a text that is not a CIDR.
pub(crate) const NO_CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

impl OldForm {
    /// The API server's message for this form.
    pub(crate) const fn api_error(self) -> &'static str {
        match self {
            Self::LeadingZeros => "must not have leading 0s in IP or prefix length",
            Self::MappedIpv4 => "must not have an IPv4-mapped IPv6 address",
            Self::HostBits => "must not have bits set beyond the prefix length",
        }
    }
}

impl fmt::Display for OldForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LeadingZeros => "leading zeros in the address or the prefix length",
            Self::MappedIpv4 => "an IPv4-mapped IPv6 address",
            Self::HostBits => "bits set beyond the prefix length",
        })
    }
}

/// Reads a CIDR in any form that any version of Kubernetes accepted.
///
/// ```
/// use foretell_objects::model::cidr::{OldForm, parse_cidr};
///
/// let cidr = parse_cidr("10.1.2.3/8")?;
/// assert_eq!(cidr.net.to_string(), "10.0.0.0/8");
/// assert_eq!(cidr.old_form, Some(OldForm::HostBits));
///
/// assert_eq!(parse_cidr("10.0.0.0/33").unwrap_err(), "\"10.0.0.0/33\": prefix length over 32");
/// # Ok::<(), String>(())
/// ```
///
/// # Errors
/// A sentence that quotes the text and says what is wrong with it.
pub fn parse_cidr(text: &str) -> Result<ParsedCidr, String> {
    let Some((address, prefix)) = text.split_once('/') else {
        return Err(without_prefix(text));
    };
    let Some((address, address_zeros)) = parse_address(address) else {
        return Err(format!(
            "{text:?}: {address:?} is not an IP address: write, for example, 10.9.8.0/24 or 2001:db8::/64"
        ));
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let (prefix, prefix_zeros) = parse_prefix(prefix, longest).map_err(|problem| format!("{text:?}: {problem}"))?;

    let net = network(address, prefix);
    let mapped = matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    // The order is upstream's, which reports only the first of these.
    let old_form = if address_zeros || prefix_zeros {
        Some(OldForm::LeadingZeros)
    } else if mapped {
        Some(OldForm::MappedIpv4)
    } else if net.addr() != address {
        Some(OldForm::HostBits)
    } else {
        None
    };
    Ok(ParsedCidr { net, old_form, written_prefix: prefix })
}

fn without_prefix(text: &str) -> String {
    match parse_address(text) {
        Some((address, _)) => {
            let whole = if address.is_ipv4() { 32 } else { 128 };
            format!("{text:?}: no prefix length: write \"{address}/{whole}\" for this single address")
        }
        None => format!("{text:?}: not a CIDR: write, for example, 10.9.8.0/24 or 2001:db8::/64"),
    }
}

fn network(address: IpAddr, prefix: u8) -> IpNet {
    let net = match address {
        IpAddr::V4(v4) => IpNet::V4(Ipv4Net::new_assert(v4, prefix)),
        IpAddr::V6(v6) => match (v6.to_ipv4_mapped(), prefix.checked_sub(96)) {
            (Some(v4), Some(prefix)) => IpNet::V4(Ipv4Net::new_assert(v4, prefix)),
            _ => IpNet::V6(Ipv6Net::new_assert(v6, prefix)),
        },
    };
    net.trunc()
}

/// The prefix length, and whether it has a leading zero.
fn parse_prefix(text: &str, longest: u8) -> Result<(u8, bool), String> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{text:?} is not a prefix length: write a number from 0 to {longest}"));
    }
    let significant = text.trim_start_matches('0');
    let prefix = if significant.is_empty() { Some(0) } else { significant.parse::<u8>().ok() };
    match prefix {
        Some(prefix) if prefix <= longest => Ok((prefix, text.len() > 1 && text.starts_with('0'))),
        _ => Err(format!("prefix length over {longest}")),
    }
}

/// The address, and whether it has leading zeros, which strict parsers refuse.
fn parse_address(text: &str) -> Option<(IpAddr, bool)> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some((address, false));
    }
    let address = if text.contains(':') {
        let groups: Option<Vec<String>> = text.split(':').map(plain_group).collect();
        groups?.join(":").parse::<Ipv6Addr>().ok().map(IpAddr::V6)
    } else {
        plain_octets(text)?.parse::<Ipv4Addr>().ok().map(IpAddr::V4)
    };
    address.map(|address| (address, true))
}

/// A group of an IPv6 address without its leading zeros.
fn plain_group(group: &str) -> Option<String> {
    if group.contains('.') {
        return plain_octets(group);
    }
    if group.is_empty() || !group.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return group.is_empty().then(String::new);
    }
    let significant = group.trim_start_matches('0');
    Some(if significant.is_empty() { "0" } else { significant }.to_owned())
}

/// A dotted IPv4 address without leading zeros in its octets.
fn plain_octets(text: &str) -> Option<String> {
    let mut octets = Vec::new();
    for octet in text.split('.') {
        if octet.is_empty() || !octet.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = octet.trim_start_matches('0');
        octets.push(if significant.is_empty() { "0" } else { significant });
    }
    Some(octets.join("."))
}
