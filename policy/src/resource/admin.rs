//! The admin policies of `policy.networking.k8s.io`, as the network-policy-api project defines them: types of our own
//! for what its definitions (v0.1.7 of the former two kinds, v0.3.0 of the latter) say, and one view of all three.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::admin::ports::{ClusterPort, Port};

pub mod ports;
pub mod view;

/// The group of all three kinds.
pub const GROUP: &str = "policy.networking.k8s.io";

/// An object of one of the kinds, less its status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource<S> {
    /// Its metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// What it says.
    pub spec: S,
}

/// `AdminNetworkPolicy`, v1alpha1: rules that no NetworkPolicy overrides.
pub type AdminNetworkPolicy = Resource<AdminNetworkPolicySpec>;
/// `BaselineAdminNetworkPolicy`, v1alpha1: rules for where no NetworkPolicy restricts. There is one, named `default`.
pub type BaselineAdminNetworkPolicy = Resource<BaselineAdminNetworkPolicySpec>;
/// `ClusterNetworkPolicy`, v1alpha2 and v1beta1, which have one schema: both of the former in one kind.
pub type ClusterNetworkPolicy = Resource<ClusterNetworkPolicySpec>;

/// The spec of an [`AdminNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdminNetworkPolicySpec {
    /// 0 to 1000; the lower one is asked first.
    pub priority: i32,
    /// To whom it applies.
    pub subject: Subject,
    /// Rules for what arrives; the first that matches counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<IngressRule>>,
    /// Rules for what leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<EgressRule>>,
}

/// The spec of a [`BaselineAdminNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineAdminNetworkPolicySpec {
    /// To whom it applies.
    pub subject: Subject,
    /// Rules for what arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<IngressRule>>,
    /// Rules for what leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<EgressRule>>,
}

/// The spec of a [`ClusterNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterNetworkPolicySpec {
    /// `Admin` or `Baseline`.
    pub tier: String,
    /// 0 to 1000; of one tier the lower one is asked first.
    pub priority: i32,
    /// To whom it applies.
    pub subject: Subject,
    /// Rules for what arrives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<ClusterIngressRule>>,
    /// Rules for what leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<ClusterEgressRule>>,
}

/// Whom a policy applies to: one of the two. Pods on their node's network are never among them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// All pods of these namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// These pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
}

/// Pods by their namespace and themselves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// Their namespaces. A ClusterNetworkPolicy may leave it out and means all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The pods there.
    pub pod_selector: LabelSelector,
}

/// A source: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IngressPeer {
    /// All pods of these namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// These pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
}

/// A destination: one of these.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressPeer {
    /// All pods of these namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// These pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// The addresses in the status of these Nodes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,
    /// CIDRs: whoever has an address there, pods and nodes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// Names of the DNS. A BaselineAdminNetworkPolicy has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_names: Option<Vec<String>>,
}

/// A rule of the former two kinds for what arrives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IngressRule {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Allow`, `Deny`, and in an AdminNetworkPolicy `Pass`.
    pub action: String,
    /// From whom.
    pub from: Vec<IngressPeer>,
    /// To which ports; absent: to every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
}

/// A rule of the former two kinds for what leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EgressRule {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Allow`, `Deny`, and in an AdminNetworkPolicy `Pass`.
    pub action: String,
    /// To whom.
    pub to: Vec<EgressPeer>,
    /// To which ports; absent: to every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
}

/// A rule of a [`ClusterNetworkPolicy`] for what arrives.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterIngressRule {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Accept`, `Deny` or `Pass`.
    pub action: String,
    /// From whom.
    pub from: Vec<IngressPeer>,
    /// To which ports; absent: to every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<ClusterPort>>,
}

/// A rule of a [`ClusterNetworkPolicy`] for what leaves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterEgressRule {
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Accept`, `Deny` or `Pass`.
    pub action: String,
    /// To whom.
    pub to: Vec<EgressPeer>,
    /// To which ports; absent: to every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<ClusterPort>>,
}
