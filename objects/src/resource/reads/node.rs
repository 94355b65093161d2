//! The fields of a Node that the engine reads.

use std::collections::BTreeSet;

use crate::model::labels::Labels;
use crate::resource::kubernetes::Node;

/// The fields of a Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeFields {
    /// `metadata.labels`.
    pub labels: Labels,
    /// The ranges from which its pods get addresses.
    pub pod_cidrs: BTreeSet<String>,
    /// Type and text of each address in its status: `("InternalIP", "192.0.2.1")`, `("Hostname", "n1")`.
    pub addresses: BTreeSet<(String, String)>,
    /// The major and minor version of its kubelet, which is never newer than the API server.
    pub kubelet: Option<(u32, u32)>,
}

impl NodeFields {
    /// Reads a Node.
    #[must_use]
    pub fn of(node: &Node) -> Self {
        let spec = node.spec.iter();
        let ranges = spec.flat_map(|spec| spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr));
        let addresses = node.status.iter().flat_map(|status| status.addresses.iter().flatten());
        Self {
            labels: node.metadata.labels.clone().unwrap_or_default(),
            pod_cidrs: ranges.cloned().collect(),
            addresses: addresses.map(|address| (address.type_.clone(), address.address.clone())).collect(),
            kubelet: node
                .status
                .as_ref()
                .and_then(|status| version(status.node_info.as_ref()?.kubelet_version.as_ref()?)),
        }
    }
}

/// `v1.36.2+k3s1` is 1.36.
fn version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.strip_prefix('v')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
