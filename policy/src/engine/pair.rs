//! A flow from one end to one backend.

use std::net::IpAddr;

use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use foretell_objects::model::flow::{Direction, Protocol};

/// A flow to one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The end that opens the connection.
    pub src: End,
    /// The end that accepts the connection.
    pub dst: End,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// How the backend was reached.
    pub dialled: Dialled,
}

/// The address that a client connects to. A pod that reaches itself by its own address is subject to no policy. A pod that
/// reaches itself through a Service is subject to admin policies, by their specification, and not to NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// The backend's own address.
    Backend,
    /// An address of a Service.
    Service {
        /// The Service.
        service: ServiceId,
        /// Its address in this flow.
        ip: IpAddr,
        /// The port at this address.
        port: u16,
    },
    /// A node port of the client's own node, which leads to the backend. The backend sees the node as the client, in a flow of its
    /// own: no policy of the backend applies to this one.
    OwnNodePort {
        /// The port at the node.
        port: u16,
    },
}

impl Dialled {
    /// How a destination is reached at this port, by its own address.
    #[must_use]
    pub fn at(destination: &Destination, port: u16) -> Self {
        match *destination {
            Destination::Direct(_) => Self::Backend,
            Destination::Service { service, ip } => Self::Service { service, ip, port },
        }
    }
}

/// Where a connection leads, and how.
#[derive(Clone, Copy, Debug)]
pub struct Dial {
    /// The destination. For a node port of the own node it is the Service.
    pub destination: Destination,
    /// The port at the destination.
    pub port: u16,
    /// How it is reached.
    pub dialled: Dialled,
}

impl Pair {
    /// The end that policies of a direction select: the source for egress, the destination for ingress.
    #[must_use]
    pub fn subject(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.dst,
            Direction::Egress => &self.src,
        }
    }

    /// The pod that policies of a direction select; `None` if they do not apply.
    #[must_use]
    pub fn subject_pod(&self, direction: Direction) -> Option<PodId> {
        match (self.dialled, direction) {
            (Dialled::OwnNodePort { .. }, Direction::Ingress) => None,
            _ => self.subject(direction).pod(),
        }
    }

    /// The end opposite to the subject.
    #[must_use]
    pub fn peer(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.src,
            Direction::Egress => &self.dst,
        }
    }
}
