//! A flow from one end to one backend.

use crate::cluster::ownership::{Destination, End};
use crate::model::flow::{Direction, Protocol};

/// A flow to one backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Who opened it.
    pub src: End,
    /// Who answers.
    pub dst: End,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// How the backend was reached.
    pub dialled: Dialled,
}

/// What a client spoke to. A pod that reaches itself by its own address is subject to no policy; one that reaches itself through
/// a Service is subject to admin policies, as upstream has it, and not to NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// To the backend's own address.
    Backend,
    /// To a Service's.
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
    /// The end that a policy of this direction would select.
    #[must_use]
    pub fn subject(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.dst,
            Direction::Egress => &self.src,
        }
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.src,
            Direction::Egress => &self.dst,
        }
    }
}
