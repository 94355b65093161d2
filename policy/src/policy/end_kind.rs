//! What an end of a flow is to rules.

/// What an end of a flow is to rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndKind {
    /// A pod of this identity, in the pod network.
    Pod(u32),
    /// A node, or a pod on a node's network.
    Node,
    /// An address that no pod, node or Service had.
    Outside,
    /// A pod of which nothing is known.
    Unresolved,
}
