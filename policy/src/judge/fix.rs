//! The smallest change of a policy's rules that allows what the policy would deny.
//!
//! Rules select peers by stable labels and ports by number, and only peers and ports that were recorded. A rule may still allow
//! more than that, because the policy selects several workloads, or because labels do not distinguish two peers. The caller finds
//! out by evaluating the same window with the fixed policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::cluster::ownership::End;
use crate::cluster::party::Party;
use crate::engine::world::World;
use crate::judge::assessment::outside::local_ranges_in;
use crate::judge::fix::rules::{Addition, add};
use crate::judge::fix::spec::{spec_of, with_rules};
use crate::judge::fix::stable::selecting;
use crate::policy::end_kind::EndKind;
use crate::report::denial::ConnectionKey;
use foretell_objects::model::dialect::ByBlock;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::labels::{Labels, NAMESPACE_NAME_LABEL};
use foretell_objects::resource::object::Object;

pub mod new_policy;
mod rules;
mod spec;
pub mod stable;

/// A policy whose rules allow more than before.
#[derive(Clone, Debug)]
pub struct FixedPolicy {
    /// The policy with its new rules.
    pub object: Object,
    /// Its spec before, as in the manifest.
    pub before: NetworkPolicySpec,
    /// Its spec after.
    pub after: NetworkPolicySpec,
    /// The denials that the new rules allow.
    pub allowed: Vec<ConnectionKey>,
    /// The denials that no rule can allow, each with the reason.
    pub unresolvable: Vec<(ConnectionKey, Obstacle)>,
}

/// Why no rule can allow a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is a pod that is not in the snapshot. Another pod may get its address.
    UnknownPod,
    /// Its pods have no label that pods of the next rollout will have.
    NoStableLabel,
    /// It is a node, and under the cluster's enforcer no `ipBlock` matches nodes.
    NodeOutOfBlocks,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPod => {
                "the pod is unknown, and a rule for its address would also allow the next pod with that address"
            }
            Self::NoStableLabel => "its pods have no label that stays the same across rollouts; add one",
            Self::NodeOutOfBlocks => "it is a node, and under this enforcer no ipBlock matches nodes",
        })
    }
}

/// A peer as a rule selects it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AllowedPeer {
    Pods {
        /// Absent: the policy's own namespace.
        namespace: Option<String>,
        labels: Labels,
    },
    /// A block without these blocks.
    Block(IpNet, Vec<IpNet>),
}

/// The ports that a rule is to allow for its peers.
type AllowedPorts = BTreeSet<(Protocol, u16)>;

/// Whether rules can be added to an object: it is a `NetworkPolicy` or an audit policy.
#[must_use]
pub fn can_fix(object: &Object) -> bool {
    spec_of(object).is_some()
}

/// Adds rules to a `NetworkPolicy` or an audit policy for the denials that are attributed to it. `None` for objects of other
/// kinds.
#[must_use]
pub fn fix<'k>(
    object: &Object,
    world: &World<'_>,
    at: Timestamp,
    denials: impl IntoIterator<Item = &'k ConnectionKey>,
) -> Option<FixedPolicy> {
    let before = spec_of(object)?;
    let own_namespace = Some(object.id().namespace).filter(|namespace| !namespace.is_empty());
    let mut fixed = FixedPolicy {
        object: object.clone(),
        after: before.clone(),
        before,
        allowed: Vec::new(),
        unresolvable: Vec::new(),
    };
    let mut wanted: BTreeMap<(Direction, AllowedPeer), AllowedPorts> = BTreeMap::new();
    let mut peers: BTreeMap<&Party, Result<AllowedPeer, Obstacle>> = BTreeMap::new();
    for denial in denials {
        let peer = &denial.peer;
        let peer = peers.entry(peer).or_insert_with(|| allowed_peer(peer, own_namespace.as_deref(), world, at));
        match peer.clone() {
            Ok(peer) => {
                wanted.entry((denial.direction, peer)).or_default().insert((denial.protocol, denial.port));
                fixed.allowed.push(denial.clone());
            }
            Err(obstacle) => fixed.unresolvable.push((denial.clone(), obstacle)),
        }
    }
    for direction in Direction::BOTH {
        let mut by_ports: BTreeMap<AllowedPorts, Vec<AllowedPeer>> = BTreeMap::new();
        for ((_, peer), ports) in wanted.iter().filter(|((of, _), _)| *of == direction) {
            by_ports.entry(ports.clone()).or_default().push(peer.clone());
        }
        for (ports, peers) in by_ports {
            let addition = Addition { peers: rule_peers(peers), ports };
            match direction {
                Direction::Ingress => add(fixed.after.ingress.get_or_insert_default(), addition),
                Direction::Egress => add(fixed.after.egress.get_or_insert_default(), addition),
            }
        }
    }
    fixed.object = with_rules(object, &fixed.after);
    Some(fixed)
}

fn allowed_peer(
    peer: &Party,
    own_namespace: Option<&str>,
    world: &World<'_>,
    at: Timestamp,
) -> Result<AllowedPeer, Obstacle> {
    match peer {
        Party::Address { cidr, .. } if world.is_unresolved(&End::Address { ip: cidr.addr() }) => {
            Err(Obstacle::UnknownPod)
        }
        Party::Address { cidr, .. }
            if world.dialect().nodes_by_block == ByBlock::NotMatched
                && world.view().kind(&End::Address { ip: cidr.addr() }) == EndKind::Node =>
        {
            Err(Obstacle::NodeOutOfBlocks)
        }
        Party::Address { cidr, .. } => Ok(AllowedPeer::Block(*cidr, Vec::new())),
        Party::Range { cidr, .. } => Ok(AllowedPeer::Block(*cidr, local_ranges_in(cidr))),
        Party::Workload { namespace, .. } => {
            let labels = selecting(peer, world, at).ok_or(Obstacle::NoStableLabel)?;
            let namespace = (own_namespace != Some(namespace)).then(|| namespace.clone());
            Ok(AllowedPeer::Pods { namespace, labels })
        }
    }
}

/// The peers of a rule. Blocks that together make up a larger block become that block.
fn rule_peers(peers: Vec<AllowedPeer>) -> Vec<NetworkPolicyPeer> {
    let (mut named, mut blocks) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer {
            AllowedPeer::Pods { namespace, labels } => named.push(NetworkPolicyPeer {
                namespace_selector: namespace
                    .map(|name| equalities(Labels::from([(NAMESPACE_NAME_LABEL.to_owned(), name)]))),
                pod_selector: Some(equalities(labels)),
                ip_block: None,
            }),
            AllowedPeer::Block(block, except) if except.is_empty() => blocks.push(block),
            AllowedPeer::Block(block, except) => named.push(block_peer(block, &except)),
        }
    }
    named.extend(IpNet::aggregate(&blocks).into_iter().map(|block| block_peer(block, &[])));
    named
}

fn block_peer(block: IpNet, except: &[IpNet]) -> NetworkPolicyPeer {
    let except = (!except.is_empty()).then(|| except.iter().map(ToString::to_string).collect());
    let ip_block = Some(IPBlock { cidr: block.to_string(), except });
    NetworkPolicyPeer { ip_block, ..NetworkPolicyPeer::default() }
}

fn equalities(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
