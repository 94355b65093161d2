//! The smallest change of a policy's rules that allows what the policy would deny.
//!
//! It names peers by labels that stay, ports by number, and nobody who was not seen. What it lets in besides, because the
//! policy selects more than one workload or because labels tell no two peers apart, is for the caller to find out: by asking the
//! same window again with the mended policy.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use self::rules::{Opening, open};
use self::spec::{spec_of, with_rules};
use self::stable::selecting;
use crate::cluster::ownership::End;
use crate::denial::DenialKey;
use crate::dialect::ByBlock;
use crate::flow::{Direction, Protocol};
use crate::index::Kind;
use crate::labels::{Labels, NAMESPACE_NAME_LABEL};
use crate::naming::Party;
use crate::object::Object;
use crate::world::World;

mod rules;
mod spec;
pub mod stable;

/// A policy with more in its rules than before.
#[derive(Clone, Debug)]
pub struct Mended {
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
enum Who {
    Pods {
        /// Absent: the subject's own.
        namespace: Option<String>,
        labels: Labels,
    },
    Block(IpNet),
}

/// Ports of a rule.
type Ports = BTreeSet<(Protocol, u16)>;

/// Mends a `NetworkPolicy` or an audit policy for these denials, which are laid at it. `None` for objects of other kinds.
#[must_use]
pub fn mend<'k>(
    object: &Object,
    world: &World<'_>,
    at: Timestamp,
    denials: impl IntoIterator<Item = &'k DenialKey>,
) -> Option<Mended> {
    let before = spec_of(object)?;
    let home = (!object.id().namespace.is_empty()).then(|| object.id().namespace);
    let mut mended =
        Mended { object: object.clone(), after: before.clone(), before, allowed: Vec::new(), left: Vec::new() };
    let mut wanted: BTreeMap<(Direction, Who), Ports> = BTreeMap::new();
    let mut known: BTreeMap<&Party, Result<Who, Obstacle>> = BTreeMap::new();
    for denial in denials {
        let who = known.entry(&denial.peer).or_insert_with(|| who(&denial.peer, home.as_deref(), world, at));
        match who.clone() {
            Ok(who) => {
                wanted.entry((denial.direction, who)).or_default().insert((denial.protocol, denial.port));
                mended.allowed.push(denial.clone());
            }
            Err(obstacle) => mended.left.push((denial.clone(), obstacle)),
        }
    }
    for direction in Direction::BOTH {
        let mut by_ports: BTreeMap<Ports, Vec<Who>> = BTreeMap::new();
        for ((_, who), ports) in wanted.iter().filter(|((of, _), _)| *of == direction) {
            by_ports.entry(ports.clone()).or_default().push(who.clone());
        }
        for (ports, peers) in by_ports {
            let opening = Opening { peers: peers_of(peers), ports };
            match direction {
                Direction::Ingress => open(mended.after.ingress.get_or_insert_default(), opening),
                Direction::Egress => open(mended.after.egress.get_or_insert_default(), opening),
            }
        }
    }
    mended.object = with_rules(object, &mended.after);
    Some(mended)
}

fn who(peer: &Party, home: Option<&str>, world: &World<'_>, at: Timestamp) -> Result<Who, Obstacle> {
    match peer {
        Party::Address { cidr, .. } if world.is_unresolved(&End::Address { ip: cidr.addr() }) => {
            Err(Obstacle::UnknownPod)
        }
        Party::Address { cidr, .. }
            if world.dialect().nodes_by_block == ByBlock::Left
                && world.view().kind(&End::Address { ip: cidr.addr() }) == Kind::Node =>
        {
            Err(Obstacle::NodeOutOfBlocks)
        }
        Party::Address { cidr, .. } => Ok(Who::Block(*cidr)),
        Party::Workload { namespace, .. } => {
            let labels = selecting(peer, world, at).ok_or(Obstacle::NoStableLabel)?;
            let namespace = (home != Some(namespace)).then(|| namespace.clone());
            Ok(Who::Pods { namespace, labels })
        }
    }
}

/// Blocks that together are one block exactly become that block.
fn peers_of(peers: Vec<Who>) -> Vec<NetworkPolicyPeer> {
    let (mut named, mut blocks) = (Vec::new(), Vec::new());
    for peer in peers {
        match peer {
            Who::Pods { namespace, labels } => named.push(NetworkPolicyPeer {
                namespace_selector: namespace
                    .map(|name| equalities(Labels::from([(NAMESPACE_NAME_LABEL.to_owned(), name)]))),
                pod_selector: Some(equalities(labels)),
                ip_block: None,
            }),
            Who::Block(block) => blocks.push(block),
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
