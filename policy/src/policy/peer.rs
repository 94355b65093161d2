//! The other end of a flow, and which peers a rule of a NetworkPolicy matches.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};

use foretell_objects::model::cidr::parse_cidr;
use foretell_objects::model::labels::{Labels, Selector};
use foretell_objects::model::list::write_list;
use foretell_objects::model::port::NamedPort;

/// The other end of a flow, with everything that selectors and blocks look at.
#[derive(Clone, Copy, Debug)]
pub enum Peer<'a> {
    /// A pod of the pod network.
    Pod {
        /// Name of its namespace.
        namespace: &'a str,
        /// Labels of its namespace.
        namespace_labels: &'a Labels,
        /// Labels of the pod.
        labels: &'a Labels,
        /// Its named container ports.
        ports: &'a [NamedPort],
        /// Its address in this flow.
        ip: IpAddr,
    },
    /// A node, or a pod on the host network. Selectors do not match it.
    Node {
        /// The node's address in this flow.
        ip: IpAddr,
    },
    /// An address that no pod, node or Service had at the time.
    Outside {
        /// The address.
        ip: IpAddr,
    },
    /// An address of the pod network that no known pod had at the time, or a pod of which only the address is known.
    Unresolved {
        /// The address.
        ip: IpAddr,
    },
}

impl Peer<'_> {
    /// The address in this flow.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match *self {
            Self::Pod { ip, .. } | Self::Node { ip } | Self::Outside { ip } | Self::Unresolved { ip } => ip,
        }
    }
}

/// The peers that a rule allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerSet {
    /// Every peer, including addresses outside of the cluster: the rule lists no peers.
    Everyone,
    /// The peers that at least one of the matchers matches.
    AnyOf(Vec<PeerMatcher>),
}

/// One entry of a rule's `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMatcher {
    /// Pods by labels.
    Pods {
        /// Their namespaces.
        namespaces: Namespaces,
        /// The labels of the pods.
        pods: Selector,
        /// Whether there is no `podSelector`, not even an empty one. Only some enforcers distinguish that.
        is_whole: bool,
    },
    /// Addresses.
    Block {
        /// The network, IPv4 or IPv6.
        net: IpNet,
        /// Networks within it that are not matched.
        except: Vec<IpNet>,
    },
}

/// The namespaces in which a rule selects pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// The subject's namespace, which for a namespaced policy is the policy's own.
    Own,
    /// Namespaces with matching labels.
    Matching(Selector),
}

/// Whether a rule's peers match a peer. The order of the variants is that of certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerMatch {
    /// No peer of the rule matches.
    No,
    /// The peer is a pod or a node, and matches only because its address lies in an `ipBlock`. Enforcers differ in this case.
    ByBlockAlone,
    /// It matches for every enforcer.
    Yes,
}

impl PeerSet {
    /// Compiles a rule's `from` or `to`. An absent and an empty list both mean every peer.
    #[must_use]
    pub fn compile(peers: Option<&[NetworkPolicyPeer]>) -> Self {
        match peers {
            None | Some([]) => Self::Everyone,
            Some(peers) => Self::AnyOf(peers.iter().filter_map(PeerMatcher::compile).collect()),
        }
    }

    /// All its blocks, including their `except`s.
    pub fn blocks(&self) -> impl Iterator<Item = IpNet> {
        let matchers = match self {
            Self::Everyone => &[][..],
            Self::AnyOf(matchers) => matchers,
        };
        matchers
            .iter()
            .map(|matcher| match matcher {
                PeerMatcher::Pods { .. } => (None, &[][..]),
                PeerMatcher::Block { net, except } => (Some(*net), except.as_slice()),
            })
            .flat_map(|(net, except)| net.into_iter().chain(except.iter().copied()))
    }

    /// Whether it matches a peer of a subject in `subject_namespace`.
    #[must_use]
    pub fn matches(&self, peer: &Peer<'_>, subject_namespace: &str) -> PeerMatch {
        match self {
            Self::Everyone => PeerMatch::Yes,
            Self::AnyOf(matchers) => {
                matchers.iter().map(|matcher| matcher.matches(peer, subject_namespace)).max().unwrap_or(PeerMatch::No)
            }
        }
    }
}

impl PeerMatcher {
    /// `None` for an entry that validation refuses: neither selectors nor a block.
    fn compile(peer: &NetworkPolicyPeer) -> Option<Self> {
        if let Some(block) = &peer.ip_block {
            return Self::block(block);
        }
        let pods = peer.pod_selector.as_ref().map(Selector::compile);
        let namespaces = match &peer.namespace_selector {
            Some(selector) => Namespaces::Matching(Selector::compile(selector)),
            None if pods.is_some() => Namespaces::Own,
            None => return None,
        };
        let is_whole = pods.is_none();
        Some(Self::Pods { namespaces, pods: pods.unwrap_or_else(Selector::everything), is_whole })
    }

    fn block(block: &IPBlock) -> Option<Self> {
        let net = parse_cidr(&block.cidr).ok()?.net;
        let except = block.except.iter().flatten().filter_map(|text| Some(parse_cidr(text).ok()?.net)).collect();
        Some(Self::Block { net, except })
    }

    fn matches(&self, peer: &Peer<'_>, subject_namespace: &str) -> PeerMatch {
        match (self, peer) {
            (Self::Pods { namespaces, pods, .. }, Peer::Pod { namespace, namespace_labels, labels, .. }) => {
                let in_namespace = match namespaces {
                    Namespaces::Own => *namespace == subject_namespace,
                    Namespaces::Matching(selector) => selector.matches(namespace_labels),
                };
                if in_namespace && pods.matches(labels) { PeerMatch::Yes } else { PeerMatch::No }
            }
            (Self::Pods { .. }, _) => PeerMatch::No,
            (Self::Block { net, except }, peer) => {
                let ip = peer.ip();
                if !net.contains(&ip) || except.iter().any(|except| except.contains(&ip)) {
                    return PeerMatch::No;
                }
                match peer {
                    Peer::Pod { .. } | Peer::Node { .. } => PeerMatch::ByBlockAlone,
                    Peer::Outside { .. } | Peer::Unresolved { .. } => PeerMatch::Yes,
                }
            }
        }
    }
}

impl fmt::Display for PeerSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everyone => f.write_str("everyone"),
            Self::AnyOf(matchers) => write_list(f, matchers, ", or "),
        }
    }
}

impl fmt::Display for PeerMatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pods { namespaces, pods, .. } => {
                if pods.is_everything() {
                    f.write_str("every pod")?;
                } else {
                    write!(f, "pods with {pods}")?;
                }
                match namespaces {
                    Namespaces::Own => f.write_str(" of its own namespace"),
                    Namespaces::Matching(selector) if selector.is_everything() => f.write_str(" of every namespace"),
                    Namespaces::Matching(selector) => write!(f, " of namespaces with {selector}"),
                }
            }
            Self::Block { net, except } => {
                write!(f, "{net}")?;
                for (n, except) in except.iter().enumerate() {
                    write!(f, "{}{except}", if n == 0 { " except " } else { ", " })?;
                }
                Ok(())
            }
        }
    }
}
