//! The other end of a flow, and what a rule says of it.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer};

use crate::model::cidr::parse_cidr;
use crate::model::labels::{Labels, Selector};
use crate::model::list::write_list;
use crate::model::port::NamedPort;

/// The other end, as far as selectors and blocks can see it.
#[derive(Clone, Copy, Debug)]
pub enum Peer<'a> {
    /// A pod in the pod network.
    Pod {
        /// Its namespace.
        namespace: &'a str,
        /// That namespace's labels.
        namespace_labels: &'a Labels,
        /// Its own labels.
        labels: &'a Labels,
        /// Its named ports.
        ports: &'a [NamedPort],
        /// Its address in this flow.
        ip: IpAddr,
    },
    /// A node, or a pod on a node's network: selectors do not see it.
    Node {
        /// The node's address in this flow.
        ip: IpAddr,
    },
    /// An address that no pod, node or Service had at the time.
    Outside {
        /// The address.
        ip: IpAddr,
    },
    /// An address out of the pods' ranges that no known pod had at the time, or a pod of which nothing else is known.
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
    /// Every peer, outside addresses included: the rule names none.
    Everyone,
    /// Those that one of the matchers takes.
    AnyOf(Vec<PeerMatcher>),
}

/// One entry of a rule's `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerMatcher {
    /// Pods by labels.
    Pods {
        /// Of which namespaces.
        namespaces: Namespaces,
        /// Which of their pods.
        pods: Selector,
    },
    /// Addresses.
    Block {
        /// These, v4 or v6,
        net: IpNet,
        /// but not these.
        except: Vec<IpNet>,
    },
}

/// Of which namespaces a selector takes pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Namespaces {
    /// The subject's own. For a namespaced policy that is the policy's namespace.
    Own,
    /// Those with matching labels.
    Matching(Selector),
}

/// How a rule's peers take a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeerMatch {
    /// Not at all.
    No,
    /// Only because its address lies in an `ipBlock`, although it is a pod or a node: enforcers differ.
    ByBlockAlone,
    /// As every enforcer does.
    Yes,
}

impl PeerSet {
    /// Compiles a rule's `from` or `to`. Absent and empty both mean every peer.
    #[must_use]
    pub fn compile(peers: Option<&[NetworkPolicyPeer]>) -> Self {
        match peers {
            None | Some([]) => Self::Everyone,
            Some(peers) => Self::AnyOf(peers.iter().filter_map(PeerMatcher::compile).collect()),
        }
    }

    /// The blocks that it names, exceptions included.
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

    /// How it takes a peer, of a subject in `subject_namespace`.
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
        Some(Self::Pods { namespaces, pods: pods.unwrap_or_else(Selector::everything) })
    }

    fn block(block: &IPBlock) -> Option<Self> {
        let net = parse_cidr(&block.cidr).ok()?.net;
        let except = block.except.iter().flatten().filter_map(|text| Some(parse_cidr(text).ok()?.net)).collect();
        Some(Self::Block { net, except })
    }

    fn matches(&self, peer: &Peer<'_>, subject_namespace: &str) -> PeerMatch {
        match (self, peer) {
            (Self::Pods { namespaces, pods }, Peer::Pod { namespace, namespace_labels, labels, .. }) => {
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
            Self::Pods { namespaces, pods } => {
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
