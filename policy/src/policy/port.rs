//! Ports of a flow, and which ports a rule of a NetworkPolicy matches.

use std::fmt;

use k8s_openapi::api::networking::v1::NetworkPolicyPort;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use foretell_objects::model::flow::Protocol;
use foretell_objects::model::list::write_list;
use foretell_objects::model::port::{NamedPort, protocol_or_tcp};

/// The ports that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PortSet {
    /// Every port of every protocol: the rule lists no ports.
    Any,
    /// The ports that at least one of the matchers matches.
    AnyOf(Vec<PortMatcher>),
}

/// One entry of a rule's `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortMatcher {
    pub(crate) protocol: Protocol,
    pub(crate) ports: Ports,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Ports {
    All,
    /// Both ends inclusive.
    Range(u16, u16),
    /// The name of a container port of the destination pod.
    Named(String),
}

/// The destination port of a flow, as a rule sees it.
#[derive(Clone, Copy, Debug)]
pub struct Port<'a> {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port number at the destination.
    pub number: u16,
    /// The named ports of the destination pod; empty if the destination is not a pod.
    pub named: &'a [NamedPort],
}

impl PortSet {
    /// Compiles a rule's `ports`. An absent and an empty list both mean every port.
    #[must_use]
    pub fn compile(ports: Option<&[NetworkPolicyPort]>) -> Self {
        match ports {
            None | Some([]) => Self::Any,
            Some(ports) => Self::AnyOf(ports.iter().map(PortMatcher::compile).collect()),
        }
    }

    /// Whether at least one port is given by its name.
    pub(crate) fn has_names(&self) -> bool {
        match self {
            Self::Any => false,
            Self::AnyOf(matchers) => matchers.iter().any(PortMatcher::is_named),
        }
    }

    /// Whether it contains a port.
    #[must_use]
    pub fn contains(&self, port: &Port<'_>) -> bool {
        match self {
            Self::Any => true,
            Self::AnyOf(matchers) => matchers.iter().any(|matcher| matcher.matches(port)),
        }
    }
}

impl PortMatcher {
    fn compile(port: &NetworkPolicyPort) -> Self {
        let protocol = protocol_or_tcp(port.protocol.as_deref());
        let ports = match &port.port {
            None => Ports::All,
            Some(IntOrString::String(name)) => Ports::Named(name.clone()),
            Some(IntOrString::Int(first)) => {
                let last = port.end_port.unwrap_or(*first);
                // Validation keeps both within 1..=65535.
                Ports::Range(u16::try_from(*first).unwrap_or(u16::MAX), u16::try_from(last).unwrap_or(0))
            }
        };
        Self { protocol, ports }
    }

    pub(crate) fn is_named(&self) -> bool {
        matches!(self.ports, Ports::Named(_))
    }

    pub(crate) fn matches(&self, port: &Port<'_>) -> bool {
        self.protocol == port.protocol
            && match &self.ports {
                Ports::All => true,
                Ports::Range(first, last) => (*first..=*last).contains(&port.number),
                Ports::Named(name) => port
                    .named
                    .iter()
                    .any(|named| named.name == *name && named.protocol == port.protocol && named.number == port.number),
            }
    }
}

impl fmt::Display for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("every port"),
            Self::AnyOf(matchers) => write_list(f, matchers, ", "),
        }
    }
}

impl fmt::Display for PortMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.ports {
            Ports::All => write!(f, "every {} port", self.protocol),
            Ports::Range(first, last) if first == last => write!(f, "{} {first}", self.protocol),
            Ports::Range(first, last) => write!(f, "{} {first}-{last}", self.protocol),
            Ports::Named(name) => write!(f, "{} {name}", self.protocol),
        }
    }
}
