//! Nodes and their addresses.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use ipnet::IpNet;

use foretell_objects::model::labels::Labels;
use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::reads::node::NodeFields;

/// Index of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    pub(crate) fn of(number: u32) -> Self {
        Self(number)
    }

    pub(crate) fn number(self) -> u32 {
        self.0
    }
}

/// All nodes that anything names: Node objects, pods' `nodeName`, agents' reports.
#[derive(Clone, Debug, Default)]
pub struct Nodes {
    names: Vec<String>,
    labels: Vec<Labels>,
    addresses: Vec<HashSet<IpAddr>>,
    /// The addresses of type `InternalIP`, which hostNetwork pods have.
    internal: Vec<Vec<IpAddr>>,
    by_name: HashMap<String, NodeId>,
    by_address: HashMap<IpAddr, Vec<NodeId>>,
    /// By the addresses of Node objects alone.
    by_declared_address: HashMap<IpAddr, Vec<NodeId>>,
    newest_kubelet: Option<(u32, u32)>,
}

impl Nodes {
    /// The node of a name, known from now on.
    pub fn intern(&mut self, name: &str) -> NodeId {
        if let Some(id) = self.by_name.get(name) {
            return *id;
        }
        let id = NodeId(u32::try_from(self.names.len()).unwrap_or(u32::MAX));
        self.names.push(name.to_owned());
        self.labels.push(Labels::new());
        self.addresses.push(HashSet::new());
        self.internal.push(Vec::new());
        self.by_name.insert(name.to_owned(), id);
        id
    }

    /// Adds a Node object and gives back the ranges of its pods.
    pub(super) fn add(&mut self, node: &core::Node) -> Vec<IpNet> {
        let name = node.metadata.name.as_deref().unwrap_or_default();
        let NodeFields { labels, pod_cidrs, addresses, kubelet } = NodeFields::of(node);
        self.newest_kubelet = self.newest_kubelet.max(kubelet);
        let internal = addresses.iter().filter(|(kind, _)| kind == "InternalIP");
        let internal: Vec<IpAddr> = internal.filter_map(|(_, address)| address.parse().ok()).collect();
        let addresses: Vec<IpAddr> = addresses.iter().filter_map(|(_, address)| address.parse().ok()).collect();
        let id = self.intern(name);
        self.internal[id.0 as usize] = internal;
        self.labels[id.0 as usize] = labels;
        for ip in &addresses {
            let nodes = self.by_declared_address.entry(*ip).or_default();
            if !nodes.contains(&id) {
                nodes.push(id);
            }
        }
        self.add_addresses(name, &addresses);
        pod_cidrs.iter().filter_map(|range| range.parse().ok()).collect()
    }

    /// Notes addresses of a node.
    pub fn add_addresses(&mut self, name: &str, addresses: &[IpAddr]) {
        let id = self.intern(name);
        for ip in addresses.iter().map(IpAddr::to_canonical).filter(|ip| !ip.is_loopback()) {
            if self.addresses[id.0 as usize].insert(ip) {
                self.by_address.entry(ip).or_default().push(id);
            }
        }
    }

    /// The major and minor version of the newest kubelet. The API server is not older.
    #[must_use]
    pub fn newest_kubelet(&self) -> Option<(u32, u32)> {
        self.newest_kubelet
    }

    /// The node's name.
    #[must_use]
    pub fn name(&self, id: NodeId) -> &str {
        &self.names[id.0 as usize]
    }

    /// Whether an address is one of this node's.
    #[must_use]
    pub fn has_address(&self, id: NodeId, ip: IpAddr) -> bool {
        self.addresses[id.0 as usize].contains(&ip)
    }

    /// The labels of the nodes whose Node object has an address. What agents report does not count: rules select nodes by the
    /// addresses in their status.
    pub fn labels_at(&self, ip: IpAddr) -> impl Iterator<Item = &Labels> {
        let nodes = self.by_declared_address.get(&ip).map_or(&[][..], Vec::as_slice);
        nodes.iter().map(|id| &self.labels[id.0 as usize])
    }

    /// The ids of all nodes.
    pub(crate) fn ids(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..u32::try_from(self.names.len()).unwrap_or(u32::MAX)).map(NodeId)
    }

    /// The address of a family that hostNetwork pods of a node have: its first `InternalIP`, or else the lowest address that is
    /// known.
    pub(crate) fn address(&self, id: NodeId, is_v4: bool) -> Option<IpAddr> {
        let mut internal = self.internal[id.0 as usize].iter().copied();
        let any = || self.addresses_of(id).filter(|ip| ip.is_ipv4() == is_v4).min();
        internal.find(|ip| ip.is_ipv4() == is_v4).or_else(any)
    }

    /// The addresses of a node.
    pub(crate) fn addresses_of(&self, id: NodeId) -> impl Iterator<Item = IpAddr> {
        self.addresses[id.0 as usize].iter().copied()
    }

    /// All nodes by name, with their addresses.
    pub fn iter(&self) -> impl Iterator<Item = (&str, impl Iterator<Item = IpAddr>)> {
        let names = self.names.iter().map(String::as_str);
        names.zip(self.addresses.iter().map(|addresses| addresses.iter().copied()))
    }

    /// Every address of a node.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.by_address.keys().copied()
    }

    /// Whether a node has a label of this value.
    #[must_use]
    pub fn have_label(&self, key: &str, value: &str) -> bool {
        self.labels.iter().any(|labels| labels.get(key).is_some_and(|is| is == value))
    }

    /// The nodes that have an address: gateway and bridge addresses may be the same on several.
    #[must_use]
    pub fn by_address(&self, ip: IpAddr) -> &[NodeId] {
        self.by_address.get(&ip).map_or(&[], Vec::as_slice)
    }
}
