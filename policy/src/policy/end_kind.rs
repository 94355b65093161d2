//! The kind of an end of a flow, as rules see it.

/// The kind of an end of a flow, as rules see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// A pod of the pod network, with the number of its identity.
    Pod(u32),
    /// A node, or a pod on the host network.
    Node,
    /// An address outside of the cluster: no pod, node or Service had it.
    Outside,
    /// An address of the pod network of which no pod is known.
    Unresolved,
}
