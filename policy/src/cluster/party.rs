//! What people call the ends of a flow.

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::End;
use crate::cluster::workload::Workload;
use foretell_objects::model::flow::Direction;

/// An end of a denial as a person triages it: a workload, an address, or a range of addresses.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum Party {
    /// Pods of one workload.
    Workload {
        /// Namespace.
        namespace: String,
        /// `Deployment`, `StatefulSet`, `CronJob`, ...; `Pod` for a pod without a controller.
        kind: String,
        /// Name.
        name: String,
    },
    /// An address of no known pod.
    Address {
        /// As a block of one address: `203.0.113.7/32`.
        #[schemars(with = "String")]
        cidr: IpNet,
        /// The node whose address it is.
        #[serde(skip_serializing_if = "Option::is_none")]
        node: Option<String>,
    },
    /// Many addresses outside of the cluster.
    Range {
        /// A name from the settings, `private`, `link-local` or `internet`. Empty: a block that a policy names.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        name: String,
        /// The range that the addresses are in. The private and link-local ranges do not count to the internet.
        #[schemars(with = "String")]
        cidr: IpNet,
    },
}

impl Party {
    /// Names an end.
    #[must_use]
    pub fn of(end: &End, cluster: &Cluster) -> Self {
        match *end {
            End::Pod { pod, .. } => Self::workload(&cluster.pod(pod).workload),
            End::Host { node: Some(node), ip } => {
                Self::Address { cidr: single(ip), node: Some(cluster.node_name(node).to_owned()) }
            }
            End::Host { node: None, ip } | End::Address { ip } | End::UnknownPod { ip } => {
                let node = cluster.nodes().by_address(ip).first().map(|node| cluster.node_name(*node).to_owned());
                Self::Address { cidr: single(ip), node }
            }
        }
    }

    /// Names a workload.
    #[must_use]
    pub fn workload(workload: &Workload) -> Self {
        let Workload { namespace, kind, name } = workload.clone();
        Self::Workload { namespace, kind, name }
    }
}

fn single(ip: IpAddr) -> IpNet {
    IpNet::from(ip)
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Workload { namespace, kind, name } => write!(f, "{kind}/{name} in {namespace}"),
            Self::Address { cidr, node: Some(node) } => write!(f, "node {node} ({})", cidr.addr()),
            Self::Address { cidr, node: None } => write!(f, "{}", cidr.addr()),
            Self::Range { name, cidr } if name.is_empty() => write!(f, "{cidr}"),
            Self::Range { name, cidr } => write!(f, "{name} ({cidr})"),
        }
    }
}

/// Who opened the connections, and to whom.
#[must_use]
pub fn from_to<'p>(direction: Direction, subject: &'p Party, peer: &'p Party) -> (&'p Party, &'p Party) {
    match direction {
        Direction::Ingress => (peer, subject),
        Direction::Egress => (subject, peer),
    }
}
