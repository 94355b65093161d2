//! What a snapshot is made of, as an API server serves it.

use crate::resource::object::Kind;

/// A kind of object, as an API server lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// `Pod`
    pub kind: &'static str,
    /// In which version it is read.
    pub version: Version,
    /// `pods`
    pub plural: &'static str,
    /// How much of each object is asked for.
    pub detail: Detail,
    /// Whether every cluster serves it.
    pub presence: Presence,
}

/// In which version a resource is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// This `apiVersion`.
    Exactly(&'static str),
    /// Whichever the server prefers of a group.
    Preferred {
        /// The group.
        group: &'static str,
    },
}

/// How much of each object is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// All of it.
    Whole,
    /// `metadata`, so that what templates hold never leaves the cluster.
    Metadata,
}

/// Whether every cluster serves a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A part of Kubernetes.
    Always,
    /// Where its definition is installed.
    IfInstalled,
}

/// All of them, in the order in which they stand in a snapshot.
///
/// Deployments are not among them: each has a ReplicaSet, also when it is scaled to zero, and that names it. A `StatefulSet` or
/// `DaemonSet` without pods would look as if it were gone.
pub const RESOURCES: [Resource; 17] = [
    of(Kind::Namespace, "namespaces", Detail::Metadata),
    of(Kind::Node, "nodes", Detail::Whole),
    of(Kind::Service, "services", Detail::Whole),
    of(Kind::EndpointSlice, "endpointslices", Detail::Whole),
    of(Kind::StatefulSet, "statefulsets", Detail::Metadata),
    of(Kind::DaemonSet, "daemonsets", Detail::Metadata),
    of(Kind::ReplicaSet, "replicasets", Detail::Metadata),
    of(Kind::CronJob, "cronjobs", Detail::Metadata),
    of(Kind::Job, "jobs", Detail::Metadata),
    of(Kind::Pod, "pods", Detail::Whole),
    of(Kind::NetworkPolicy, "networkpolicies", Detail::Whole),
    of(Kind::AuditNetworkPolicy, "auditnetworkpolicies", Detail::Whole),
    of(Kind::AuditClusterNetworkPolicy, "auditclusternetworkpolicies", Detail::Whole),
    of(Kind::AuditException, "auditexceptions", Detail::Whole),
    network_policy_api("AdminNetworkPolicy", "adminnetworkpolicies"),
    network_policy_api("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"),
    network_policy_api("ClusterNetworkPolicy", "clusternetworkpolicies"),
];

impl Resource {
    /// The group that serves it; `""`: the core one.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self.version {
            Version::Exactly(version) => version.split_once('/').map_or("", |(group, _)| group),
            Version::Preferred { group } => group,
        }
    }

    /// The kind by which the engine reads it; `None`: it is kept for what reads it one day.
    #[must_use]
    pub fn read_as(&self) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.name() == self.kind)
    }
}

const fn of(kind: Kind, plural: &'static str, detail: Detail) -> Resource {
    let presence = if kind.is_custom() { Presence::IfInstalled } else { Presence::Always };
    Resource { kind: kind.name(), version: Version::Exactly(kind.api_version()), plural, detail, presence }
}

/// The admin tiers: a group of its own, whose kinds came and went with its versions.
const fn network_policy_api(kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        kind,
        version: Version::Preferred { group: "policy.networking.k8s.io" },
        plural,
        detail: Detail::Whole,
        presence: Presence::IfInstalled,
    }
}
