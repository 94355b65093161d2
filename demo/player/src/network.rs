//! A network namespace of the play's own, in which `lo` carries every address.
//!
//! Only the node's addresses are put on the link: the agent reports those as its host's. All others are routed here without
//! being on any link, as 127.0.0.0/8 is.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

use anyhow::{Context as _, bail};
use nix::sched::{CloneFlags, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket};

use crate::cast::Families;

/// Index of `lo` in every network namespace.
const LOOPBACK: u32 = 1;

// linux/netlink.h, linux/rtnetlink.h, linux/if_addr.h
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
const NLM_F_REPLACE: u16 = 0x100;
const NLMSG_ERROR: u16 = 2;
const RTM_NEWLINK: u16 = 16;
const RTM_NEWADDR: u16 = 20;
const RTM_NEWROUTE: u16 = 24;
const IFF_UP: u32 = 1;
const IFA_F_NODAD: u8 = 2;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RT_TABLE_LOCAL: u8 = 255;
const RT_SCOPE_HOST: u8 = 254;
const RTPROT_STATIC: u8 = 4;
const RTN_LOCAL: u8 = 2;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Whether this machine speaks IPv6 at all.
#[must_use]
pub fn families() -> Families {
    if Path::new("/proc/self/net/if_inet6").exists() { Families::V4AndV6 } else { Families::V4 }
}

/// Moves this thread, and all that it starts from now on, into a network namespace of its own. It goes with the last of them.
///
/// # Errors
/// Where the kernel refuses.
pub fn leave() -> anyhow::Result<()> {
    unshare(CloneFlags::CLONE_NEWNET).context("cannot make a network namespace")
}

/// Puts the node's addresses on `lo` and routes all others to it.
///
/// # Errors
/// Where the kernel refuses.
pub fn furnish(node: &[IpAddr], others: &BTreeSet<IpAddr>) -> anyhow::Result<()> {
    let mut route = Route::open()?;
    route.ask(&Message::new(RTM_NEWLINK, 0).link_up()).context("cannot bring up lo")?;
    for ip in node {
        let message = Message::new(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE).address(*ip);
        route.ask(&message).with_context(|| format!("cannot add the node's address {ip} to lo"))?;
    }
    for ip in others {
        let message = Message::new(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE).local_route(*ip);
        route.ask(&message).with_context(|| format!("cannot route {ip} to lo"))?;
    }
    Ok(())
}

/// A conversation with the kernel about links, addresses and routes.
struct Route(OwnedFd);

impl Route {
    fn open() -> anyhow::Result<Self> {
        let protocol = Some(SockProtocol::NetlinkRoute);
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol);
        socket.map(Self).context("cannot open a netlink socket")
    }

    fn ask(&mut self, message: &Message) -> anyhow::Result<()> {
        let socket = self.0.as_raw_fd();
        sendto(socket, &message.finished(), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut answer = [0; 4096];
        let length = recv(socket, &mut answer, MsgFlags::empty())?;
        let kind = answer.get(4..6).map(|bytes| u16::from_ne_bytes([bytes[0], bytes[1]]));
        match (kind, answer[..length].get(16..20)) {
            (Some(NLMSG_ERROR), Some(&[a, b, c, d])) => match i32::from_ne_bytes([a, b, c, d]) {
                0 => Ok(()),
                errno => Err(std::io::Error::from_raw_os_error(-errno).into()),
            },
            _ => bail!("netlink answered with something that is no answer"),
        }
    }
}

/// A netlink message under way.
struct Message(Vec<u8>);

impl Message {
    fn new(kind: u16, flags: u16) -> Self {
        // Length, kind, flags, sequence number, port.
        let mut bytes = vec![0; 4];
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
        bytes.extend([0; 8]);
        Self(bytes)
    }

    /// struct ifinfomsg: family, padding, type, index, flags, which of them to change.
    fn link_up(mut self) -> Self {
        self.0.extend([0; 4]);
        for field in [LOOPBACK, IFF_UP, IFF_UP] {
            self.0.extend(field.to_ne_bytes());
        }
        self
    }

    /// struct ifaddrmsg: family, length of the prefix, flags, scope, link.
    fn address(mut self, ip: IpAddr) -> Self {
        let (family, bytes) = octets(ip);
        self.0.extend([family, prefix_length(&bytes), IFA_F_NODAD, 0]);
        self.0.extend(LOOPBACK.to_ne_bytes());
        self.attribute(IFA_LOCAL, &bytes).attribute(IFA_ADDRESS, &bytes)
    }

    /// struct rtmsg: family, lengths of destination and source, type of service, table, protocol, scope, type, flags.
    fn local_route(mut self, ip: IpAddr) -> Self {
        let (family, bytes) = octets(ip);
        self.0.extend([family, prefix_length(&bytes), 0, 0, RT_TABLE_LOCAL, RTPROT_STATIC, RT_SCOPE_HOST, RTN_LOCAL]);
        self.0.extend([0; 4]);
        self.attribute(RTA_DST, &bytes).attribute(RTA_OIF, &LOOPBACK.to_ne_bytes())
    }

    /// Attributes here are 4 or 16 bytes long: none needs padding.
    fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self
    }

    fn finished(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[..4].copy_from_slice(&length.to_ne_bytes());
        bytes
    }
}

fn octets(ip: IpAddr) -> (u8, Vec<u8>) {
    match ip {
        IpAddr::V4(v4) => (AF_INET, v4.octets().to_vec()),
        IpAddr::V6(v6) => (AF_INET6, v6.octets().to_vec()),
    }
}

/// The whole address.
fn prefix_length(bytes: &[u8]) -> u8 {
    if bytes.len() == 4 { 32 } else { 128 }
}
