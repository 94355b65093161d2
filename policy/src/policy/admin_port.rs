//! Which ports a rule of an admin policy matches.

use std::fmt;

use crate::policy::port::Port;
use foretell_objects::model::flow::Protocol;
use foretell_objects::model::list::write_list;
use foretell_objects::resource::admin::ports as written;
use foretell_objects::resource::admin_view::Ports;

/// The ports that a rule matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminPortSet {
    /// Every port of every protocol: the rule has no list of ports.
    Any,
    /// The ports that at least one of the matchers matches.
    AnyOf(Vec<AdminPortMatcher>),
}

/// One entry of a rule's ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminPortMatcher {
    /// A range of numbers.
    Range {
        /// Transport protocol.
        protocol: Protocol,
        /// First port of the range.
        first: u16,
        /// Last port of the range, inclusive.
        last: u16,
    },
    /// The name of a container port of the destination, of any protocol.
    Named(String),
    /// An entry that matches no port, such as one with an unknown protocol.
    Nothing,
}

impl AdminPortSet {
    /// Compiles a rule's ports.
    #[must_use]
    pub fn compile(ports: Ports<'_>) -> Self {
        match ports {
            Ports::Any => Self::Any,
            Ports::Ports(ports) => Self::AnyOf(ports.iter().map(AdminPortMatcher::of).collect()),
            Ports::Protocols(ports) => Self::AnyOf(ports.iter().map(AdminPortMatcher::of_protocol).collect()),
        }
    }

    /// Whether it matches a port.
    #[must_use]
    pub fn matches(&self, port: &Port<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::AnyOf(matchers) => matchers.iter().any(|matcher| matcher.matches(port)),
        }
    }
}

impl AdminPortMatcher {
    fn of(port: &written::Port) -> Self {
        match (&port.port_number, &port.named_port, &port.port_range) {
            (Some(one), _, _) => Self::range(&one.protocol, one.port, one.port),
            (None, Some(name), _) => Self::Named(name.clone()),
            (None, None, Some(range)) => Self::range(&range.protocol, range.start, range.end),
            (None, None, None) => Self::Nothing,
        }
    }

    fn of_protocol(port: &written::ClusterPort) -> Self {
        let written::ClusterPort { tcp, udp, sctp, destination_named_port } = port;
        let of = |protocol: &str, of: &written::OfProtocol| match &of.destination_port {
            Some(written::DestinationPort { number: Some(number), .. }) => Self::range(protocol, *number, *number),
            Some(written::DestinationPort { range: Some(range), .. }) => Self::range(protocol, range.start, range.end),
            Some(_) | None => Self::Nothing,
        };
        match (tcp, udp, sctp, destination_named_port) {
            (Some(tcp), ..) => of("TCP", tcp),
            (_, Some(udp), ..) => of("UDP", udp),
            (_, _, Some(sctp), _) => of("SCTP", sctp),
            (.., Some(name)) => Self::Named(name.clone()),
            _ => Self::Nothing,
        }
    }

    fn range(protocol: &str, first: i32, last: i32) -> Self {
        let protocol = match protocol {
            "TCP" => Protocol::Tcp,
            "UDP" => Protocol::Udp,
            "SCTP" => Protocol::Sctp,
            _ => return Self::Nothing,
        };
        // Validation keeps both within 1..=65535.
        match (u16::try_from(first), u16::try_from(last)) {
            (Ok(first), Ok(last)) => Self::Range { protocol, first, last },
            _ => Self::Nothing,
        }
    }

    fn matches(&self, port: &Port<'_>) -> bool {
        match self {
            Self::Range { protocol, first, last } => {
                *protocol == port.protocol && (*first..=*last).contains(&port.number)
            }
            Self::Named(name) => port
                .named
                .iter()
                .any(|named| named.name == *name && named.protocol == port.protocol && named.number == port.number),
            Self::Nothing => false,
        }
    }
}

impl fmt::Display for AdminPortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("every port"),
            Self::AnyOf(matchers) => write_list(f, matchers, ", "),
        }
    }
}

impl fmt::Display for AdminPortMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Range { protocol, first, last } if first == last => write!(f, "{protocol} {first}"),
            Self::Range { protocol, first, last } => write!(f, "{protocol} {first}-{last}"),
            Self::Named(name) => write!(f, "port {name}"),
            Self::Nothing => f.write_str("no port"),
        }
    }
}
