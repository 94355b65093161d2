//! Which peers a rule of an admin policy matches.

use std::fmt;

use ipnet::IpNet;

use crate::policy::admin_pods::AdminPods;
use crate::policy::peer::Peer;
use crate::policy::question::AdminQuestion;
use foretell_objects::model::cidr::parse_cidr;
use foretell_objects::model::labels::Selector;
use foretell_objects::model::list::write_list;
use foretell_objects::resource::admin_view::Peer as Written;

/// One entry of a rule's `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminPeerMatcher {
    /// Pods by labels.
    Pods(AdminPods),
    /// The addresses in the status of these Nodes.
    Nodes(Selector),
    /// Addresses, including those of pods and nodes.
    Networks(Vec<IpNet>),
    /// DNS names. Traffic does not show which addresses they resolve to.
    Domains(Vec<String>),
}

/// Whether a rule matches a peer. The order of the variants is that of certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AdminPeerMatch {
    /// It does not match.
    No,
    /// It may match.
    Unknown(Unknown),
    /// It matches.
    Yes,
}

/// Why it is unknown whether a rule matches a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unknown {
    /// The rule has DNS names, but the flow has only an address.
    Domain,
    /// The rule selects pods, but no pod is known to have had the address at the time.
    Pod,
}

impl AdminPeerMatcher {
    /// `None` for an entry that validation refuses.
    pub(super) fn compile(peer: &Written<'_>) -> Option<Self> {
        let Written { namespaces, pods, nodes, networks, domain_names } = *peer;
        if let Some(namespaces) = namespaces {
            return Some(Self::Pods(AdminPods::of_namespaces(namespaces)));
        }
        if let Some(pods) = pods {
            return Some(Self::Pods(AdminPods::compile(pods)));
        }
        if let Some(nodes) = nodes {
            return Some(Self::Nodes(Selector::compile(nodes)));
        }
        if let Some(networks) = networks {
            let networks = networks.iter().filter_map(|text| Some(parse_cidr(text).ok()?.net));
            return Some(Self::Networks(networks.collect()));
        }
        domain_names.map(|names| Self::Domains(names.to_vec()))
    }

    /// Whether it matches the peer of a question.
    #[must_use]
    pub fn matches(&self, question: &AdminQuestion<'_>) -> AdminPeerMatch {
        let peer = &question.peer;
        let known = |matches| if matches { AdminPeerMatch::Yes } else { AdminPeerMatch::No };
        match (self, peer) {
            (Self::Pods(pods), Peer::Pod { namespace_labels, labels, .. }) => {
                known(pods.matches(namespace_labels, labels))
            }
            (Self::Pods(_), Peer::Unresolved { .. }) => AdminPeerMatch::Unknown(Unknown::Pod),
            (Self::Nodes(nodes), Peer::Node { .. } | Peer::Outside { .. } | Peer::Unresolved { .. }) => {
                known(question.nodes.labels_at(peer.ip()).any(|labels| nodes.matches(labels)))
            }
            (Self::Networks(networks), peer) => {
                let ip = peer.ip();
                known(networks.iter().any(|network| network.contains(&ip)))
            }
            // To a rule, a hostNetwork pod is an address of its node. A pod of the pod network never counts as a node, even if
            // its recorded address is a node's: the backends of a Service are distinguished by identity and networks only. DNS
            // names are for destinations outside of the cluster; upstream advises against them for pods.
            (Self::Pods(_), Peer::Node { .. } | Peer::Outside { .. })
            | (Self::Nodes(_), Peer::Pod { .. })
            | (Self::Domains(_), Peer::Pod { .. } | Peer::Node { .. }) => AdminPeerMatch::No,
            (Self::Domains(_), Peer::Outside { .. } | Peer::Unresolved { .. }) => {
                AdminPeerMatch::Unknown(Unknown::Domain)
            }
        }
    }

    /// Its networks; empty for other kinds of peers.
    pub(super) fn networks(&self) -> &[IpNet] {
        match self {
            Self::Networks(networks) => networks,
            Self::Pods(_) | Self::Nodes(_) | Self::Domains(_) => &[],
        }
    }
}

impl fmt::Display for AdminPeerMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods(pods) => pods.fmt(f),
            Self::Nodes(nodes) if nodes.is_everything() => f.write_str("every node"),
            Self::Nodes(nodes) => write!(f, "nodes with {nodes}"),
            Self::Networks(networks) => write_list(f, networks, ", "),
            Self::Domains(names) => f.write_str(&names.join(", ")),
        }
    }
}
