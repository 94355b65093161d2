//! Packets that are built by hand because no socket would send them.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// An IPv4 header without options; the kernel fills in the checksum.
pub(crate) fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0];
    packet.extend(u16::try_from(20 + payload.len()).unwrap().to_be_bytes());
    packet.extend([0, 1]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

pub(crate) fn ipv6(from: Ipv6Addr, to: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).unwrap().to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(from.octets());
    packet.extend(to.octets());
    packet.extend(payload);
    packet
}

/// A destination options header with nothing but padding (RFC 8200, 4.6).
pub(crate) fn destination_options(next: u8) -> [u8; 8] {
    [next, 0, 1, 4, 0, 0, 0, 0]
}

/// A datagram with its checksum, which IPv6 requires.
pub(crate) fn udp(from: Ipv6Addr, to: Ipv6Addr, ports: [u16; 2], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut datagram: Vec<u8> = [ports[0], ports[1], length, 0].iter().flat_map(|field| field.to_be_bytes()).collect();
    datagram.extend(payload);
    let sum = checksum(&[&from.octets(), &to.octets(), &length.to_be_bytes(), &17_u16.to_be_bytes(), &datagram]);
    datagram[6..8].copy_from_slice(&sum);
    datagram
}

/// A SYN without options.
pub(crate) fn syn(from: Ipv4Addr, to: Ipv4Addr, ports: [u16; 2]) -> Vec<u8> {
    let mut segment: Vec<u8> = ports.iter().flat_map(|port| port.to_be_bytes()).collect();
    segment.extend([0, 0, 0, 9, 0, 0, 0, 0, 0x50, 0x02, 0x20, 0, 0, 0, 0, 0]);
    let sum = checksum(&[&from.octets(), &to.octets(), &[0, 6, 0, 20], &segment]);
    segment[16..18].copy_from_slice(&sum);
    segment
}

/// The checksum of RFC 1071. Only the last part may have an odd length.
fn checksum(parts: &[&[u8]]) -> [u8; 2] {
    let mut sum = 0_u32;
    for part in parts {
        for pair in part.chunks(2) {
            sum += u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |byte| u32::from(*byte));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!u16::try_from(sum).unwrap()).to_be_bytes()
}
