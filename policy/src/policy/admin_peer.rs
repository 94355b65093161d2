//! Whom an administrators' rule takes for a peer.

use std::fmt;

use ipnet::IpNet;

use crate::model::cidr::parse_cidr;
use crate::model::labels::Selector;
use crate::model::list::write_list;
use crate::policy::admin_policy::Pods;
use crate::policy::peer::Peer;
use crate::policy::question::AdminQuestion;
use crate::resource::admin::view::Peer as Written;

/// One entry of a rule's `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMatcher {
    /// Pods by labels.
    Pods(Pods),
    /// The addresses in the status of these Nodes.
    Nodes(Selector),
    /// Addresses, whoever has them: a pod's and a node's too.
    Networks(Vec<IpNet>),
    /// Names of the DNS: which addresses they mean is not told by traffic.
    Domains(Vec<String>),
}

/// How a rule takes a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerMatch {
    /// Not at all.
    No,
    /// Perhaps.
    Unknown(Unknown),
    /// Surely.
    Yes,
}

/// Why it cannot be told whether a rule takes a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unknown {
    /// The rule asks for a name, and the flow has an address.
    Domain,
    /// The rule asks for a pod's labels, and no pod is known to have had the address at the time.
    Pod,
}

impl PeerMatcher {
    /// `None` for an entry that validation refuses.
    pub(super) fn compile(peer: &Written<'_>) -> Option<Self> {
        let Written { namespaces, pods, nodes, networks, domain_names } = *peer;
        if let Some(namespaces) = namespaces {
            return Some(Self::Pods(Pods::of_namespaces(namespaces)));
        }
        if let Some(pods) = pods {
            return Some(Self::Pods(Pods::compile(pods)));
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

    /// How it takes the peer of a question.
    #[must_use]
    pub fn takes(&self, question: &AdminQuestion<'_>) -> PeerMatch {
        let peer = &question.peer;
        let surely = |taken| if taken { PeerMatch::Yes } else { PeerMatch::No };
        match (self, peer) {
            (Self::Pods(pods), Peer::Pod { namespace_labels, labels, .. }) => {
                surely(pods.take(namespace_labels, labels))
            }
            (Self::Pods(_), Peer::Unresolved { .. }) => PeerMatch::Unknown(Unknown::Pod),
            (Self::Nodes(nodes), Peer::Node { .. } | Peer::Outside { .. } | Peer::Unresolved { .. }) => {
                surely(question.nodes.labels_at(peer.ip()).any(|labels| nodes.matches(labels)))
            }
            (Self::Networks(networks), peer) => {
                let ip = peer.ip();
                surely(networks.iter().any(|network| network.contains(&ip)))
            }
            // A hostNetwork pod is its node's address to a rule. A pod of the pod network is no node, whatever address it is
            // said to have: a Service's backends are told apart by identity and by networks. Names are for what is outside;
            // upstream advises against them for pods.
            (Self::Pods(_), Peer::Node { .. } | Peer::Outside { .. })
            | (Self::Nodes(_), Peer::Pod { .. })
            | (Self::Domains(_), Peer::Pod { .. } | Peer::Node { .. }) => PeerMatch::No,
            (Self::Domains(_), Peer::Outside { .. } | Peer::Unresolved { .. }) => PeerMatch::Unknown(Unknown::Domain),
        }
    }

    /// The networks that it names.
    pub(super) fn networks(&self) -> &[IpNet] {
        match self {
            Self::Networks(networks) => networks,
            Self::Pods(_) | Self::Nodes(_) | Self::Domains(_) => &[],
        }
    }
}

impl fmt::Display for PeerMatcher {
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
