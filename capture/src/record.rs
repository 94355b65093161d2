//! Reads the bytes that the eBPF programs write. The C side is `bpf/flow.h`: change both together.

use std::net::{IpAddr, Ipv6Addr};

use foretell_policy::model::flow::{Direction, Protocol};

/// Bytes of a key of the flow table.
pub const KEY_BYTES: usize = 32;
/// Bytes of a value of the flow table.
pub const SUMS_BYTES: usize = 112;
/// Bytes of an event.
pub const EVENT_BYTES: usize = KEY_BYTES + 32;

const GUESSED: u32 = 2;
const RESUMED: u32 = 4;

/// What makes a flow one flow: everything but the client's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// Id of the local socket's cgroup.
    pub cgroup: u64,
    /// Address of the other end.
    pub remote: IpAddr,
    /// The server's port.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// `Egress`: the local end is the client. `Ingress`: it is the server.
    pub observed: Direction,
}

/// Sums of a flow since the kernel's entry was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// When the entry was made, in nanoseconds of the monotonic clock; tells two entries of one key apart.
    pub made: u64,
    /// Its last packet.
    pub last: u64,
    /// Its first packet in the newest even and the newest odd window.
    pub window_first: [u64; 2],
    /// Packets sent by the client.
    pub client_packets: u64,
    /// Packets sent by the server.
    pub server_packets: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Connection attempts (TCP and SCTP).
    pub opened: u64,
    /// Attempts that were answered.
    pub established: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Number of the newest window in which there was a packet.
    pub window: u32,
    /// Whether it was guessed which end is the server.
    pub guessed: bool,
    /// Whether it belongs to a connection that an earlier entry has counted.
    pub resumed: bool,
    /// Address of the local end, as the first packet had it.
    pub local: IpAddr,
}

/// A new key in the flow table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub key: FlowKey,
    /// Address of the local end.
    pub local: IpAddr,
    /// Time of the packet, in nanoseconds of the monotonic clock.
    pub time: u64,
    /// Bytes of the packet.
    pub bytes: u64,
}

/// Takes fixed-size fields from the front of a record.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*field)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_ne_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_ne_bytes)
    }

    fn address(&mut self) -> Option<IpAddr> {
        self.take::<16>().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical())
    }
}

impl FlowKey {
    /// Reads a key; `None` where the bytes are none that the programs write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let cgroup = fields.u64()?;
        let remote = fields.address()?;
        let port = u16::from_ne_bytes(fields.take()?);
        let [protocol, role] = fields.take()?;
        let protocol = match protocol {
            6 => Protocol::Tcp,
            17 => Protocol::Udp,
            132 => Protocol::Sctp,
            _ => return None,
        };
        let observed = match role {
            0 => Direction::Egress,
            1 => Direction::Ingress,
            _ => return None,
        };
        Some(Self { cgroup, remote, port, protocol, observed })
    }

    /// The key as the kernel holds it.
    #[must_use]
    pub fn write(&self) -> [u8; KEY_BYTES] {
        let remote = match self.remote {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let protocol = match self.protocol {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        };
        let mut bytes = [0; KEY_BYTES];
        bytes[..8].copy_from_slice(&self.cgroup.to_ne_bytes());
        bytes[8..24].copy_from_slice(&remote.octets());
        bytes[24..26].copy_from_slice(&self.port.to_ne_bytes());
        bytes[26] = protocol;
        bytes[27] = u8::from(self.observed == Direction::Ingress);
        bytes
    }
}

impl Sums {
    /// Reads a value of the flow table; `None` where it is too short.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let made = fields.u64()?;
        let last = fields.u64()?;
        let window_first = [fields.u64()?, fields.u64()?];
        let client_packets = fields.u64()?;
        let server_packets = fields.u64()?;
        let sent_bytes = fields.u64()?;
        let opened = fields.u64()?;
        let established = fields.u64()?;
        let refused = fields.u64()?;
        let _last_opening = fields.u64()?;
        let window = fields.u32()?;
        let marks = fields.u32()?;
        let local = fields.address()?;
        Some(Self {
            made,
            last,
            window_first,
            client_packets,
            server_packets,
            bytes: sent_bytes,
            opened,
            established,
            refused,
            window,
            guessed: marks & GUESSED != 0,
            resumed: marks & RESUMED != 0,
            local,
        })
    }

    /// An entry of which nothing has been read yet.
    #[must_use]
    pub fn none(made: u64, local: IpAddr) -> Self {
        Self {
            made,
            last: made,
            window_first: [0; 2],
            client_packets: 0,
            server_packets: 0,
            bytes: 0,
            opened: 0,
            established: 0,
            refused: 0,
            window: u32::MAX,
            guessed: false,
            resumed: false,
            local,
        }
    }

    /// Packets both ways.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.client_packets.saturating_add(self.server_packets)
    }
}

impl Event {
    /// Reads an event; `None` where the bytes are none that the programs write.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (key, rest) = bytes.split_at_checked(KEY_BYTES)?;
        let mut fields = Fields(rest);
        Some(Self { key: FlowKey::read(key)?, local: fields.address()?, time: fields.u64()?, bytes: fields.u64()? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..160)) {
            let _ = Event::read(&bytes);
            let _ = Sums::read(&bytes);
            let _ = FlowKey::read(&bytes);
        }

        #[test]
        fn a_key_reads_back_what_was_written(
            cgroup: u64, remote: [u8; 16], port: u16, protocol in 0..3_usize, ingress: bool,
        ) {
            let key = FlowKey {
                cgroup,
                remote: IpAddr::V6(remote.into()).to_canonical(),
                port,
                protocol: [Protocol::Tcp, Protocol::Udp, Protocol::Sctp][protocol],
                observed: if ingress { Direction::Ingress } else { Direction::Egress },
            };
            prop_assert_eq!(FlowKey::read(&key.write()), Some(key));
        }
    }

    #[test]
    fn a_record_that_is_cut_off_is_none() {
        assert_eq!(Event::read(&[0; EVENT_BYTES - 1]), None);
        assert_eq!(Sums::read(&[0; SUMS_BYTES - 1]), None);
        assert!(Sums::read(&[0; SUMS_BYTES]).is_some());
    }

    #[test]
    fn an_unknown_protocol_or_role_is_none() {
        let mut key = [0; KEY_BYTES];
        assert_eq!(FlowKey::read(&key), None);
        key[26] = 17;
        assert!(FlowKey::read(&key).is_some());
        key[27] = 2;
        assert_eq!(FlowKey::read(&key), None);
    }
}
