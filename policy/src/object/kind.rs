//! Which objects are read: by kind and by the versions that are served today.

use std::fmt;

use super::Kind;
use crate::admin::GROUP;

/// What `apiVersion` and `kind` say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Recognised {
    /// In the version that is served.
    Served(Kind),
    /// In a version or group that was removed, or that never was.
    NotServed(Kind),
}

/// Groups in which a kind of ours is the kind meant, in the wrong place: those of the kinds themselves, and the one in which
/// they lived before they had their own (removed in Kubernetes 1.16 and 1.22).
const OWN_GROUPS: [&str; 9] = [
    "",
    "apps",
    "batch",
    "discovery.k8s.io",
    "extensions",
    "foretell.dev",
    "kguardian.dev",
    "networking.k8s.io",
    GROUP,
];

impl Kind {
    /// All of them.
    pub const ALL: [Self; 18] = [
        Self::Namespace,
        Self::Node,
        Self::Pod,
        Self::Service,
        Self::EndpointSlice,
        Self::Deployment,
        Self::StatefulSet,
        Self::DaemonSet,
        Self::ReplicaSet,
        Self::Job,
        Self::CronJob,
        Self::NetworkPolicy,
        Self::AuditNetworkPolicy,
        Self::AuditClusterNetworkPolicy,
        Self::AuditException,
        Self::AdminNetworkPolicy,
        Self::BaselineAdminNetworkPolicy,
        Self::ClusterNetworkPolicy,
    ];

    /// As `kind` has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespace => "Namespace",
            Self::Node => "Node",
            Self::Pod => "Pod",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::ReplicaSet => "ReplicaSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::AuditNetworkPolicy => "AuditNetworkPolicy",
            Self::AuditClusterNetworkPolicy => "AuditClusterNetworkPolicy",
            Self::AuditException => "AuditException",
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
        }
    }

    /// As `apiVersion` has it, in the version that is written.
    #[must_use]
    pub const fn api_version(self) -> &'static str {
        self.api_versions()[0]
    }

    /// As `apiVersion` may have it: several versions where they have one schema.
    #[must_use]
    pub const fn api_versions(self) -> &'static [&'static str] {
        match self {
            Self::Namespace | Self::Node | Self::Pod | Self::Service => &["v1"],
            Self::EndpointSlice => &["discovery.k8s.io/v1"],
            Self::Deployment | Self::StatefulSet | Self::DaemonSet | Self::ReplicaSet => &["apps/v1"],
            Self::Job | Self::CronJob => &["batch/v1"],
            Self::NetworkPolicy => &["networking.k8s.io/v1"],
            Self::AuditNetworkPolicy | Self::AuditClusterNetworkPolicy => &["kguardian.dev/v1alpha1"],
            Self::AuditException => &["foretell.dev/v1alpha1"],
            Self::AdminNetworkPolicy | Self::BaselineAdminNetworkPolicy => &["policy.networking.k8s.io/v1alpha1"],
            Self::ClusterNetworkPolicy => &["policy.networking.k8s.io/v1beta1", "policy.networking.k8s.io/v1alpha2"],
        }
    }

    /// Whether its objects live in a namespace.
    #[must_use]
    pub fn is_namespaced(self) -> bool {
        !matches!(self, Self::Namespace | Self::Node | Self::AuditClusterNetworkPolicy) && !self.is_admin_tier()
    }

    /// Whether it is a policy or an exception: what people write for Foretell to judge, and what is read to the letter.
    pub(crate) fn is_strict(self) -> bool {
        matches!(self, Self::NetworkPolicy) || self.is_custom()
    }

    /// Whether it is a custom resource.
    pub(crate) const fn is_custom(self) -> bool {
        matches!(self, Self::AuditNetworkPolicy | Self::AuditClusterNetworkPolicy | Self::AuditException)
            || self.is_admin_tier()
    }

    /// Whether it is a policy of administrators.
    #[must_use]
    pub const fn is_admin_tier(self) -> bool {
        matches!(self, Self::AdminNetworkPolicy | Self::BaselineAdminNetworkPolicy | Self::ClusterNetworkPolicy)
    }

    /// `None`: a kind that is not read, or another's kind of the same name.
    pub(super) fn recognise(api_version: &str, kind: &str) -> Option<Recognised> {
        let kind = Self::ALL.into_iter().find(|known| known.name() == kind)?;
        if kind.api_versions().contains(&api_version) {
            return Some(Recognised::Served(kind));
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        OWN_GROUPS.contains(&group).then_some(Recognised::NotServed(kind))
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
