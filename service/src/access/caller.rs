//! Who sent a request.

/// An authenticated caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `system:serviceaccount:foretell:foretell-capture`
    pub name: String,
    /// The node that the caller's pod runs on, if the token names it.
    pub node: Option<String>,
    /// Whether the caller has the token of the token file: an operator outside a cluster, who may act for every node.
    pub is_operator: bool,
}
