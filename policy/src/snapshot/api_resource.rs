//! The resources of a snapshot, as an API server serves them.

use foretell_objects::model::other_policies::{OTHER_POLICY_KINDS, Role};
use foretell_objects::resource::object::Kind;

/// A resource type, as an API server lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resource {
    /// The kind of its objects: `Pod`.
    pub kind: &'static str,
    /// The API version in which it is listed.
    pub version: Version,
    /// The plural name in URLs: `pods`.
    pub plural: &'static str,
    /// How much of each object is requested.
    pub detail: Detail,
    /// Whether every cluster serves it.
    pub presence: Presence,
}

/// The API version in which a resource is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// This `apiVersion`.
    Exactly(&'static str),
    /// The version of a group that the server prefers.
    Preferred {
        /// The group.
        group: &'static str,
    },
}

/// How much of each object is requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The whole object.
    Whole,
    /// Only `metadata`, so that pod templates never leave the cluster.
    Metadata,
}

/// Whether every cluster serves a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is a part of Kubernetes.
    Always,
    /// It is a custom resource, which exists if its definition is installed.
    IfInstalled,
}

/// All resources of a snapshot, in the order in which a snapshot lists them.
///
/// Deployments are not needed: each has a ReplicaSet that names it, even if it is scaled to zero. `StatefulSet`s and `DaemonSet`s
/// are: without them, one that has no pods would look as if it did not exist.
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
    /// The API group; `""` is the core group.
    #[must_use]
    pub fn group(&self) -> &'static str {
        match self.version {
            Version::Exactly(version) => version.split_once('/').map_or("", |(group, _)| group),
            Version::Preferred { group } => group,
        }
    }

    /// The kind as which the engine reads it; `None` if the engine does not read it: a policy of a CNI's or mesh's own kind.
    #[must_use]
    pub fn read_as(&self) -> Option<Kind> {
        let group = |kind: Kind| kind.api_version().split_once('/').map_or("", |(group, _)| group);
        Kind::ALL.into_iter().find(|kind| kind.name() == self.kind && group(*kind) == self.group())
    }
}

const fn of(kind: Kind, plural: &'static str, detail: Detail) -> Resource {
    let presence = if kind.is_custom() { Presence::IfInstalled } else { Presence::Always };
    Resource { kind: kind.name(), version: Version::Exactly(kind.api_version()), plural, detail, presence }
}

/// The policies of CNIs' and meshes' own kinds, which a snapshot lists and the engine does not evaluate. Each item lists the groups of one
/// kind. The first of them that a cluster serves has all of its objects.
pub fn other_policies() -> impl Iterator<Item = Vec<Resource>> {
    OTHER_POLICY_KINDS.iter().filter_map(|row| match row.role {
        Role::Policy { plural, .. } => {
            Some(row.groups.iter().map(|group| in_preferred_version(group, row.kind, plural)).collect())
        }
        Role::Support | Role::Set | Role::NotEnforced => None,
    })
}

/// A kind of admin policies. Their group has different kinds in different versions.
const fn network_policy_api(kind: &'static str, plural: &'static str) -> Resource {
    in_preferred_version("policy.networking.k8s.io", kind, plural)
}

const fn in_preferred_version(group: &'static str, kind: &'static str, plural: &'static str) -> Resource {
    Resource {
        kind,
        version: Version::Preferred { group },
        plural,
        detail: Detail::Whole,
        presence: Presence::IfInstalled,
    }
}
