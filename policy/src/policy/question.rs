//! A flow as an admin policy of its subject sees it.

use crate::cluster::node::Nodes;
use crate::policy::peer::Peer;
use crate::policy::port::Port;
use foretell_objects::model::flow::Direction;

/// A flow as an admin policy of its subject sees it. The subject is the pod that the policy selects.
#[derive(Clone, Copy, Debug)]
pub struct AdminQuestion<'a> {
    /// The other end.
    pub peer: Peer<'a>,
    /// The nodes, for rules that select them.
    pub nodes: &'a Nodes,
    /// `Ingress`: the subject is the destination. `Egress`: the subject is the source.
    pub direction: Direction,
    /// The destination's port.
    pub port: Port<'a>,
}
