//! The admin policies of `policy.networking.k8s.io`, as the network-policy-api project defines them: types for its definitions
//! (v0.1.7 of AdminNetworkPolicy and BaselineAdminNetworkPolicy, v0.3.0 of ClusterNetworkPolicy), and a common view of all
//! three.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::admin::ports::{ClusterPort, Port};

pub mod ports;

/// The API group of all three kinds.
pub const GROUP: &str = "policy.networking.k8s.io";

/// An object of one of the kinds, without its status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Resource<S> {
    /// The object's metadata.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// The object's spec.
    pub spec: S,
}

/// `AdminNetworkPolicy`, v1alpha1: rules that take precedence over NetworkPolicies.
pub type AdminNetworkPolicy = Resource<AdminNetworkPolicySpec>;
/// `BaselineAdminNetworkPolicy`, v1alpha1: rules for traffic that no NetworkPolicy restricts. A cluster has
/// at most one, named `default`.
pub type BaselineAdminNetworkPolicy = Resource<BaselineAdminNetworkPolicySpec>;
/// `ClusterNetworkPolicy`, v1alpha2 and v1beta1, which have the same schema. It replaces both of the other kinds.
pub type ClusterNetworkPolicy = Resource<ClusterNetworkPolicySpec>;

/// The spec of an [`AdminNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AdminNetworkPolicySpec {
    /// Priority of the policy, 0 to 1000. Policies with a lower number are evaluated first.
    pub priority: i32,
    /// The pods that the policy applies to.
    pub subject: Subject,
    /// Rules for traffic to the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<IngressRule>>,
    /// Rules for traffic from the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<EgressRule>>,
}

/// The spec of a [`BaselineAdminNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BaselineAdminNetworkPolicySpec {
    /// The pods that the policy applies to.
    pub subject: Subject,
    /// Rules for traffic to the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<IngressRule>>,
    /// Rules for traffic from the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<EgressRule>>,
}

/// The spec of a [`ClusterNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterNetworkPolicySpec {
    /// Tier of the policy: `Admin` or `Baseline`.
    pub tier: String,
    /// Priority of the policy within its tier, 0 to 1000. Policies with a lower number are evaluated first.
    pub priority: i32,
    /// The pods that the policy applies to.
    pub subject: Subject,
    /// Rules for traffic to the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<ClusterIngressRule>>,
    /// Rules for traffic from the pods. The first rule that matches decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<ClusterEgressRule>>,
}

/// The pods that a policy applies to. Exactly one field is set. Pods on the host network are never selected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Subject {
    /// Selects all pods of the namespaces with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Selects pods by their labels and those of their namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
}

/// Selects pods by their labels and those of their namespaces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Pods {
    /// The labels of the namespaces. Required except in a ClusterNetworkPolicy, where absent means all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The labels of the pods.
    pub pod_selector: LabelSelector,
}

/// A source of traffic. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IngressPeer {
    /// Selects all pods of the namespaces with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Selects pods by their labels and those of their namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
}

/// A destination of traffic. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EgressPeer {
    /// Selects all pods of the namespaces with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespaces: Option<LabelSelector>,
    /// Selects pods by their labels and those of their namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<Pods>,
    /// Selects the addresses in the status of Nodes with these labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<LabelSelector>,
    /// Networks in CIDR notation. They match pods and nodes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub networks: Option<Vec<String>>,
    /// DNS names, `example.com` or `*.example.com`. Not allowed in a BaselineAdminNetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain_names: Option<Vec<String>>,
}

/// An ingress rule of an AdminNetworkPolicy or BaselineAdminNetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IngressRule {
    /// Name of the rule, at most 100 characters. It has no effect on traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the rule does with traffic: `Allow` or `Deny`, or `Pass` in an AdminNetworkPolicy.
    pub action: String,
    /// The sources that the rule matches.
    pub from: Vec<IngressPeer>,
    /// The destination ports that the rule matches; absent: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
}

/// An egress rule of an AdminNetworkPolicy or BaselineAdminNetworkPolicy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EgressRule {
    /// Name of the rule, at most 100 characters. It has no effect on traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the rule does with traffic: `Allow` or `Deny`, or `Pass` in an AdminNetworkPolicy.
    pub action: String,
    /// The destinations that the rule matches.
    pub to: Vec<EgressPeer>,
    /// The destination ports that the rule matches; absent: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<Port>>,
}

/// An ingress rule of a [`ClusterNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterIngressRule {
    /// Name of the rule, at most 100 characters. It has no effect on traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the rule does with traffic: `Accept`, `Deny` or `Pass`.
    pub action: String,
    /// The sources that the rule matches.
    pub from: Vec<IngressPeer>,
    /// The destination ports that the rule matches; absent: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<ClusterPort>>,
}

/// An egress rule of a [`ClusterNetworkPolicy`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterEgressRule {
    /// Name of the rule, at most 100 characters. It has no effect on traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What the rule does with traffic: `Accept`, `Deny` or `Pass`.
    pub action: String,
    /// The destinations that the rule matches.
    pub to: Vec<EgressPeer>,
    /// The destination ports that the rule matches; absent: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocols: Option<Vec<ClusterPort>>,
}
