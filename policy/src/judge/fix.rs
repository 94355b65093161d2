//! The smallest change of a policy's rules that allows what the policy would deny.
//!
//! It names peers by labels that stay, ports by number, and nobody who was not seen. What it lets in besides, because the
//! policy selects more than one workload or because labels tell no two peers apart, is for the caller to find out: by asking the
//! same window again with the fixed policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::cluster::ownership::End;
use crate::cluster::party::Party;
use crate::engine::world::World;
use crate::judge::fix::rules::{Opening, open};
use crate::judge::fix::spec::{spec_of, with_rules};
use crate::judge::fix::stable::selecting;
use crate::model::dialect::ByBlock;
use crate::model::flow::{Direction, Protocol};
use crate::model::labels::{Labels, NAMESPACE_NAME_LABEL};
use crate::policy::end_kind::EndKind;
use crate::report::denial::DenialKey;
use crate::resource::object::Object;

mod rules;
mod spec;
pub mod stable;

/// A policy with more in its rules than before.
#[derive(Clone, Debug)]
pub struct FixedPolicy {
    /// The policy.
    pub object: Object,
    /// Its spec before, with defaults as they stand in the manifest.
    pub before: NetworkPolicySpec,
    /// Its spec after.
    pub after: NetworkPolicySpec,
    /// What it allows now and did not before.
    pub allowed: Vec<DenialKey>,
    /// What no rule can allow, and why.
    pub left: Vec<(DenialKey, Obstacle)>,
}

/// Why no rule can allow a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// It is a pod, and which one is not known: its address will be another's.
    UnknownPod,
    /// Its pods have no label that the next ones will have too.
    NoStableLabel,
    /// It is a node, and no `ipBlock` takes nodes for the cluster's enforcer.
    NodeOutOfBlocks,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownPod => {
                "which pod it was is not known, and a rule by its address would let in whoever has it next"
            }
            Self::NoStableLabel => "its pods have no label that the next ones will have too: give them one",
            Self::NodeOutOfBlocks => "it is a node, and the cluster's enforcer lets no ipBlock take one",
        })
    }
}

/// A peer as a rule names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum AllowedPeer {
    Pods {
        /// Absent: the subject's own.
        namespace: Option<String>,
        labels: Labels,
    },
    Block(IpNet),
}

/// PortsToOpen of a rule.
type PortsToOpen = BTreeSet<(Protocol, u16)>;

/// Fixes a `NetworkPolicy` or an audit policy for these denials, which are laid at it. `None` for objects of other kinds.
#[must_use]
pub fn fix<'k>(
    object: &Object,
    world: &World<'_>,
    at: Timestamp,
    denials: impl IntoIterator<Item = &'k DenialKey>,
) -> Option<FixedPolicy> {
    let before = spec_of(object)?;
    let home = (!object.id().namespace.is_empty()).then(|| object.id().namespace);
    let mut fixed =
        FixedPolicy { object: object.clone(), after: before.clone(), before, allowed: Vec::new(), left: Vec::new() };
    let mut wanted: BTreeMap<(Direction, AllowedPeer), PortsToOpen> = BTreeMap::new();
    let mut known: BTreeMap<&Party, Result<AllowedPeer, Obstacle>> = BTreeMap::new();
    for denial in denials {
        let who = known.entry(&denial.peer).or_insert_with(|| who(&denial.peer, home.as_deref(), world, at));
        match who.clone() {
            Ok(who) => {
                wanted.entry((denial.direction, who)).or_default().insert((denial.protocol, denial.port));
                fixed.allowed.push(denial.clone());
            }
            Err(obstacle) => fixed.left.push((denial.clone(), obstacle)),
        }
    }
    for direction in Direction::BOTH {
        let mut by_ports: BTreeMap<PortsToOpen, Vec<AllowedPeer>> = BTreeMap::new();
        for ((_, who), ports) in wanted.iter().filter(|((of, _), _)| *of == direction) {
            by_ports.entry(ports.clone()).or_default().push(who.clone());
        }
        for (ports, peers) in by_ports {
            let opening = Opening { peers: peers_of(peers), ports };
            match direction {
                Direction::Ingress => open(fixed.after.ingress.get_or_insert_default(), opening),
                Direction::Egress => open(fixed.after.egress.get_or_insert_default(), opening),
            }
        }
    }
    fixed.object = with_rules(object, &fixed.after);
    Some(fixed)
}

fn who(peer: &Party, home: Option<&str>, world: &World<'_>, at: Timestamp) -> Result<AllowedPeer, Obstacle> {
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
        Party::Address { cidr, .. } => Ok(AllowedPeer::Block(*cidr)),
        Party::Workload { namespace, .. } => {
            let labels = selecting(peer, world, at).ok_or(Obstacle::NoStableLabel)?;
            let namespace = (home != Some(namespace)).then(|| namespace.clone());
            Ok(AllowedPeer::Pods { namespace, labels })
        }
    }
}

/// Blocks that together are one block exactly become that block.
fn peers_of(peers: Vec<AllowedPeer>) -> Vec<NetworkPolicyPeer> {
    let (mut named, mut blocks) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer {
            AllowedPeer::Pods { namespace, labels } => named.push(NetworkPolicyPeer {
                namespace_selector: namespace
                    .map(|name| equalities(Labels::from([(NAMESPACE_NAME_LABEL.to_owned(), name)]))),
                pod_selector: Some(equalities(labels)),
                ip_block: None,
            }),
            AllowedPeer::Block(block) => blocks.push(block),
        }
    }
    named.extend(IpNet::aggregate(&blocks).into_iter().map(|block| NetworkPolicyPeer {
        ip_block: Some(IPBlock { cidr: block.to_string(), except: None }),
        ..NetworkPolicyPeer::default()
    }));
    named
}

fn equalities(labels: Labels) -> LabelSelector {
    LabelSelector { match_labels: Some(labels), match_expressions: None }
}
