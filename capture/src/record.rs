//! Reads the bytes that the eBPF programs write. The structs of the C side are in `bpf/flow.h`, which asserts their sizes
//! and offsets. A test here compares both sides.

use std::net::{IpAddr, Ipv6Addr};

use foretell_objects::model::flow::{Direction, Protocol};

/// Bytes of a key of the flow table.
pub const KEY_BYTES: usize = 32;
/// Bytes of a value of the flow table.
pub const SUMS_BYTES: usize = 112;
/// Bytes of an event.
pub const EVENT_BYTES: usize = 64;
const _: () = assert!(EVENT_BYTES == KEY_BYTES + 16 + 8 + 8, "an event is a key, an address, a time and a byte count");

const GUESSED: u32 = 2;
const RESUMED: u32 = 4;

/// Identifies a flow. The client's port is not part of it.
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

/// Sums of a flow since the kernel created its entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// When the entry was created, in nanoseconds of the monotonic clock. Two entries of one key differ in it.
    pub created: u64,
    /// Time of its last packet.
    pub last: u64,
    /// Time of its first packet in the newest even and the newest odd window.
    pub window_first: [u64; 2],
    /// Packets sent by the client.
    pub client_packets: u64,
    /// Packets sent by the server.
    pub server_packets: u64,
    /// Bytes in both directions.
    pub bytes: u64,
    /// Connection attempts (TCP and SCTP).
    pub opened: u64,
    /// Attempts that were accepted.
    pub established: u64,
    /// Attempts that were refused.
    pub refused: u64,
    /// Number of the newest window in which there was a packet.
    pub window: u32,
    /// Whether it is a guess which end is the server.
    pub guessed: bool,
    /// Whether it belongs to a connection that an earlier entry counted.
    pub resumed: bool,
    /// Address of the local end in the first packet.
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
    /// Reads a key; `None` if the programs do not write such bytes.
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

    /// The key in the kernel's form.
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
    /// Reads a value of the flow table; `None` if it is too short.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let created = fields.u64()?;
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
        let flags = fields.u32()?;
        let local = fields.address()?;
        Some(Self {
            created,
            last,
            window_first,
            client_packets,
            server_packets,
            bytes: sent_bytes,
            opened,
            established,
            refused,
            window,
            guessed: flags & GUESSED != 0,
            resumed: flags & RESUMED != 0,
            local,
        })
    }

    /// The sums of an entry without packets.
    #[must_use]
    pub fn zero(created: u64, local: IpAddr) -> Self {
        Self {
            created,
            last: created,
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

    /// Packets in both directions.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.client_packets.saturating_add(self.server_packets)
    }
}

impl Event {
    /// Reads an event; `None` if the programs do not write such bytes.
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
        fn a_written_key_reads_back_as_itself(
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
    fn a_truncated_record_is_rejected() {
        assert_eq!(Event::read(&[0; EVENT_BYTES - 1]), None);
        assert_eq!(Sums::read(&[0; SUMS_BYTES - 1]), None);
        assert!(Sums::read(&[0; SUMS_BYTES]).is_some());
    }

    #[test]
    fn an_unknown_protocol_or_role_is_rejected() {
        let mut key = [0; KEY_BYTES];
        assert_eq!(FlowKey::read(&key), None);
        key[26] = 17;
        assert!(FlowKey::read(&key).is_some());
        key[27] = 2;
        assert_eq!(FlowKey::read(&key), None);
    }

    /// The C compiler checks the same numbers against the structs.
    #[test]
    fn the_c_header_asserts_the_sizes_offsets_and_flags_that_this_module_uses() {
        let header = include_str!("../bpf/flow.h");
        for line in [
            format!("_Static_assert(sizeof(struct flow_key) == {KEY_BYTES}, "),
            format!("_Static_assert(sizeof(struct flow) == {SUMS_BYTES}, "),
            format!("_Static_assert(sizeof(struct event) == {EVENT_BYTES}, "),
            format!("#define FLOW_GUESSED {GUESSED} "),
            format!("#define FLOW_RESUMED {RESUMED} "),
            "enum role { LOCAL_IS_CLIENT = 0, LOCAL_IS_SERVER = 1 };".to_owned(),
        ] {
            assert!(header.contains(&line), "{line}");
        }
        for (structure, fields) in [
            ("flow_key", &[("cgroup", 0), ("remote", 8), ("port", 24), ("protocol", 26), ("role", 27)][..]),
            ("event", &[("local", 32), ("time", 48), ("bytes", 56)]),
            ("flow", &SUMS_OFFSETS),
        ] {
            for (field, offset) in fields {
                let line = format!("ASSERT_OFFSET(struct {structure}, {field}, {offset});");
                assert!(header.contains(&line), "{line}");
            }
        }
    }

    const SUMS_OFFSETS: [(&str, usize); 12] = [
        ("created", 0),
        ("last", 8),
        ("window_first", 16),
        ("client_packets", 32),
        ("server_packets", 40),
        ("bytes", 48),
        ("opened", 56),
        ("established", 64),
        ("refused", 72),
        ("window", 88),
        ("flags", 92),
        ("local", 96),
    ];

    #[test]
    fn each_sum_is_read_from_its_offset() {
        let mut bytes = [0; SUMS_BYTES];
        for (number, (name, offset)) in (1_u8..).zip(SUMS_OFFSETS) {
            match name {
                "flags" => bytes[offset] = 2,
                "local" => bytes[offset..].copy_from_slice(&Ipv6Addr::LOCALHOST.octets()),
                // The programs are built for little-endian machines only (build.rs).
                _ => bytes[offset] = number,
            }
        }
        bytes[24] = 40;
        let expected = Sums {
            created: 1,
            last: 2,
            window_first: [3, 40],
            client_packets: 4,
            server_packets: 5,
            bytes: 6,
            opened: 7,
            established: 8,
            refused: 9,
            window: 10,
            guessed: true,
            resumed: false,
            local: IpAddr::V6(Ipv6Addr::LOCALHOST),
        };
        assert_eq!(Sums::read(&bytes), Some(expected));
        bytes[92] = 4;
        assert_eq!(Sums::read(&bytes).map(|sums| (sums.guessed, sums.resumed)), Some((false, true)));
    }

    #[test]
    fn each_field_of_an_event_is_read_from_its_offset() {
        let key = FlowKey {
            cgroup: 7,
            remote: IpAddr::V6(Ipv6Addr::LOCALHOST),
            port: 80,
            protocol: Protocol::Udp,
            observed: Direction::Ingress,
        };
        let mut bytes = [0; EVENT_BYTES];
        bytes[..KEY_BYTES].copy_from_slice(&key.write());
        bytes[32..48].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
        bytes[48..56].copy_from_slice(&5_u64.to_ne_bytes());
        bytes[56..].copy_from_slice(&60_u64.to_ne_bytes());
        let expected = Event { key, local: IpAddr::V6(Ipv6Addr::LOCALHOST), time: 5, bytes: 60 };
        assert_eq!(Event::read(&bytes), Some(expected));
        assert_eq!((bytes[0], bytes[24], bytes[26], bytes[27]), (7, 80, 17, 1));
    }
}
