//! A flow as a NetworkPolicy of its subject sees it.

use crate::policy::peer::Peer;
use crate::policy::port::Port;
use foretell_objects::model::flow::Direction;

/// A flow as a NetworkPolicy of its subject sees it. The subject is the pod that the policy selects, the peer the other end.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Namespace of the pod that the policy selects.
    pub subject_namespace: &'a str,
    /// The other end.
    pub peer: Peer<'a>,
    /// `Ingress`: the subject is the destination. `Egress`: the subject is the source.
    pub direction: Direction,
    /// The destination's port.
    pub port: Port<'a>,
}
