//! A flow from one end to one backend.

use crate::cluster::ownership::{Destination, End};
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
    Service,
}

impl From<&Destination> for Dialled {
    fn from(destination: &Destination) -> Self {
        match destination {
            Destination::Direct(_) => Self::Backend,
            Destination::Service { .. } => Self::Service,
        }
    }
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

    /// The end opposite to the subject.
    #[must_use]
    pub fn peer(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.src,
            Direction::Egress => &self.dst,
        }
    }
}
