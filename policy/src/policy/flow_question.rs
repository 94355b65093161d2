//! A flow as a NetworkPolicy of its subject sees it.

use crate::model::flow::Direction;
use crate::policy::peer::Peer;
use crate::policy::port::Port;

/// A flow as a policy sees it: which of its ends is the subject, and what the other is.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Namespace of the pod that the policy selects.
    pub subject_namespace: &'a str,
    /// The other end.
    pub peer: Peer<'a>,
    /// Ingress: the subject is the destination.
    pub direction: Direction,
    /// The destination's port.
    pub port: Port<'a>,
}
