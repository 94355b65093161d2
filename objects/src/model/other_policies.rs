//! The kinds of policies that CNIs and meshes define for themselves, in one table. The engine does not evaluate them. A change of such an
//! object is reported, because it decides about the same traffic as the policies that are evaluated.
//!
//! A new kind is one line in the table.

/// A kind of objects by which a CNI or a mesh allows or denies traffic, and that the engine does not evaluate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OtherPolicyKind {
    /// The API groups that define it: Calico defines its kinds in two.
    pub groups: &'static [&'static str],
    /// The value of `kind`.
    pub kind: &'static str,
    /// The project that enforces it, as it writes its name.
    pub project: &'static str,
    /// Where its objects apply.
    pub scope: Scope,
    /// What its objects do.
    pub role: Role,
}

/// Where the objects of a kind apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In their namespace.
    Namespace,
    /// In their namespace. Those in this one apply in the whole cluster: the root namespace of a mesh.
    NamespaceOrRoot(&'static str),
    /// They have a namespace, and may apply in the whole cluster.
    Mesh,
    /// They have no namespace, and apply in the whole cluster.
    Cluster,
    /// The kind is known by its name alone.
    Unknown,
}

/// What the objects of a kind do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A policy for pods. A snapshot lists it.
    Policy {
        /// The plural name in URLs: `ciliumnetworkpolicies`.
        plural: &'static str,
        /// The field of its spec that is a label selector of pods. Empty: it has none, or one in a syntax of its own.
        selector: &'static str,
    },
    /// What policies depend on, or what restricts something other than the pod network: a group, a tier.
    Support,
    /// Addresses or endpoints that policies select by the labels of these objects.
    Set,
    /// It is evaluated by its project and not enforced: Calico's staged policies.
    NotEnforced,
}

const CILIUM: &[&str] = &["cilium.io"];
/// The objects of its API server, `projectcalico.org`, are stored as those of `crd.projectcalico.org`.
const CALICO: &[&str] = &["crd.projectcalico.org", "projectcalico.org"];
const ANTREA: &[&str] = &["crd.antrea.io"];
const OVN: &[&str] = &["k8s.ovn.org"];
const OPENSHIFT: &[&str] = &["network.openshift.io"];
const ISTIO: &[&str] = &["security.istio.io"];
const LINKERD: &[&str] = &["policy.linkerd.io"];
const KUMA: &[&str] = &["kuma.io"];
const MULTUS: &[&str] = &["k8s.cni.cncf.io"];
const AWS: &[&str] = &["vpcresources.k8s.aws"];
const GKE: &[&str] = &["networking.gke.io"];
const NSX: &[&str] = &["crd.nsx.vmware.com", "nsx.vmware.com"];
const KUBE_OVN: &[&str] = &["kubeovn.io"];
const CONSUL: &[&str] = &["consul.hashicorp.com"];
const SMI: &[&str] = &["access.smi-spec.io"];

/// Istio's default root namespace: `meshConfig.rootNamespace`.
/// <https://istio.io/latest/docs/reference/config/security/authorization-policy/>
const ISTIO_ROOT: Scope = Scope::NamespaceOrRoot("istio-system");

const fn policy(plural: &'static str, selector: &'static str) -> Role {
    Role::Policy { plural, selector }
}

const fn row(
    groups: &'static [&'static str],
    kind: &'static str,
    project: &'static str,
    scope: Scope,
    role: Role,
) -> OtherPolicyKind {
    OtherPolicyKind { groups, kind, project, scope, role }
}

/// The table.
///
/// Kinds of the same projects that route traffic and neither allow nor deny it are not in it: `CiliumEgressGatewayPolicy`, Antrea's
/// `Egress`, OVN-Kubernetes' `EgressQoS`, `EgressIP` and `AdminPolicyBasedExternalRoute`.
pub const OTHER_POLICY_KINDS: &[OtherPolicyKind] = &[
    // https://docs.cilium.io/en/stable/network/kubernetes/policy/
    row(CILIUM, "CiliumNetworkPolicy", "Cilium", Scope::Namespace, policy("ciliumnetworkpolicies", "endpointSelector")),
    row(
        CILIUM,
        "CiliumClusterwideNetworkPolicy",
        "Cilium",
        Scope::Cluster,
        policy("ciliumclusterwidenetworkpolicies", "endpointSelector"),
    ),
    row(CILIUM, "CiliumCIDRGroup", "Cilium", Scope::Cluster, Role::Set),
    row(CILIUM, "CiliumLocalRedirectPolicy", "Cilium", Scope::Namespace, Role::Support),
    // https://docs.tigera.io/calico/latest/reference/resources/
    row(CALICO, "NetworkPolicy", "Calico", Scope::Namespace, policy("networkpolicies", "")),
    row(CALICO, "GlobalNetworkPolicy", "Calico", Scope::Cluster, policy("globalnetworkpolicies", "")),
    row(CALICO, "NetworkSet", "Calico", Scope::Namespace, Role::Set),
    row(CALICO, "GlobalNetworkSet", "Calico", Scope::Cluster, Role::Set),
    row(CALICO, "Tier", "Calico", Scope::Cluster, Role::Support),
    row(CALICO, "HostEndpoint", "Calico", Scope::Cluster, Role::Set),
    row(CALICO, "Profile", "Calico", Scope::Cluster, Role::Support),
    row(CALICO, "StagedNetworkPolicy", "Calico", Scope::Namespace, Role::NotEnforced),
    row(CALICO, "StagedGlobalNetworkPolicy", "Calico", Scope::Cluster, Role::NotEnforced),
    row(CALICO, "StagedKubernetesNetworkPolicy", "Calico", Scope::Namespace, Role::NotEnforced),
    // https://antrea.io/docs/main/docs/antrea-network-policy/
    row(ANTREA, "NetworkPolicy", "Antrea", Scope::Namespace, policy("networkpolicies", "")),
    row(ANTREA, "ClusterNetworkPolicy", "Antrea", Scope::Cluster, policy("clusternetworkpolicies", "")),
    row(ANTREA, "Group", "Antrea", Scope::Namespace, Role::Support),
    row(ANTREA, "ClusterGroup", "Antrea", Scope::Cluster, Role::Support),
    row(ANTREA, "Tier", "Antrea", Scope::Cluster, Role::Support),
    row(ANTREA, "ExternalEntity", "Antrea", Scope::Namespace, Role::Set),
    // https://ovn-kubernetes.io/features/network-security-controls/egress-firewall/
    row(OVN, "EgressFirewall", "OVN-Kubernetes", Scope::Namespace, policy("egressfirewalls", "")),
    row(OPENSHIFT, "EgressNetworkPolicy", "OpenShift", Scope::Namespace, policy("egressnetworkpolicies", "")),
    row(OPENSHIFT, "NetNamespace", "OpenShift", Scope::Cluster, Role::Support),
    // https://istio.io/latest/docs/reference/config/security/
    row(ISTIO, "AuthorizationPolicy", "Istio", ISTIO_ROOT, policy("authorizationpolicies", "selector")),
    row(ISTIO, "PeerAuthentication", "Istio", ISTIO_ROOT, policy("peerauthentications", "selector")),
    row(ISTIO, "RequestAuthentication", "Istio", ISTIO_ROOT, policy("requestauthentications", "selector")),
    // https://linkerd.io/2/reference/authorization-policy/
    row(LINKERD, "AuthorizationPolicy", "Linkerd", Scope::Namespace, policy("authorizationpolicies", "")),
    row(LINKERD, "Server", "Linkerd", Scope::Namespace, policy("servers", "podSelector")),
    row(LINKERD, "ServerAuthorization", "Linkerd", Scope::Namespace, Role::Support),
    row(LINKERD, "MeshTLSAuthentication", "Linkerd", Scope::Namespace, Role::Support),
    row(LINKERD, "NetworkAuthentication", "Linkerd", Scope::Namespace, Role::Support),
    row(LINKERD, "HTTPRoute", "Linkerd", Scope::Namespace, Role::Support),
    row(LINKERD, "EgressNetwork", "Linkerd", Scope::Namespace, Role::Support),
    // https://kuma.io/docs/latest/policies/meshtrafficpermission/
    row(KUMA, "MeshTrafficPermission", "Kuma", Scope::Mesh, policy("meshtrafficpermissions", "")),
    row(KUMA, "TrafficPermission", "Kuma", Scope::Cluster, policy("trafficpermissions", "")),
    row(KUMA, "MeshTLS", "Kuma", Scope::Mesh, Role::Support),
    // For networks that Multus adds to a pod, in addition to the pod network.
    // https://github.com/k8snetworkplumbingwg/multi-networkpolicy
    row(MULTUS, "MultiNetworkPolicy", "Multus", Scope::Namespace, Role::Support),
    // https://docs.aws.amazon.com/eks/latest/userguide/security-groups-for-pods.html
    row(AWS, "SecurityGroupPolicy", "Amazon EKS", Scope::Namespace, policy("securitygrouppolicies", "podSelector")),
    // https://cloud.google.com/kubernetes-engine/docs/how-to/fqdn-network-policies
    row(GKE, "FQDNNetworkPolicy", "GKE", Scope::Namespace, policy("fqdnnetworkpolicies", "podSelector")),
    // https://github.com/vmware-tanzu/nsx-operator
    row(NSX, "SecurityPolicy", "NSX", Scope::Namespace, Role::Support),
    // https://kubeovn.github.io/docs/stable/en/vpc/security-group/
    row(KUBE_OVN, "SecurityGroup", "Kube-OVN", Scope::Cluster, Role::Support),
    // https://developer.hashicorp.com/consul/docs/reference/k8s/config-entry/service-intentions
    row(CONSUL, "ServiceIntentions", "Consul", Scope::Namespace, Role::Support),
    // https://github.com/servicemeshinterface/smi-spec
    row(SMI, "TrafficTarget", "SMI", Scope::Namespace, Role::Support),
];

/// The row of kinds that are known by their names alone.
const BY_NAME: &OtherPolicyKind = &row(&[], "", "", Scope::Unknown, Role::Support);

/// Groups in which these kinds are evaluated, or refused because of their version.
const EVALUATED_GROUPS: [&str; 6] =
    ["", "networking.k8s.io", "extensions", "kguardian.dev", "foretell.dev", "policy.networking.k8s.io"];
const EVALUATED_KINDS: [&str; 6] = [
    "NetworkPolicy",
    "AuditNetworkPolicy",
    "AuditClusterNetworkPolicy",
    "AdminNetworkPolicy",
    "BaselineAdminNetworkPolicy",
    "ClusterNetworkPolicy",
];

/// Names of kinds that other projects use for something else, so that a kind of this name is one of the table only with its group.
const COMMON_NAMES: [&str; 8] =
    ["Group", "HTTPRoute", "HostEndpoint", "Profile", "SecurityGroup", "SecurityPolicy", "Server", "Tier"];

/// What follows the word in names of kinds that describe policies and enforce nothing: Antrea's `NetworkPolicyStats`.
const DESCRIPTIONS: [&str; 8] = ["Report", "Stats", "Status", "Evaluation", "Recommendation", "Log", "Class", "List"];

impl OtherPolicyKind {
    /// The kind of this group and name. `None`: it is no policy, or one that is evaluated.
    ///
    /// A kind that is not in the table is a policy if its name says so (`...NetworkPolicy`, `...AuthorizationPolicy`), whatever its
    /// group: every project of the field names its policies like this, and new projects appear. If the name is wrong about it, one
    /// change is reviewed by hand; if a policy is overlooked, a change that cuts traffic "may merge".
    #[must_use]
    pub fn find(group: &str, kind: &str) -> Option<&'static Self> {
        let known = OTHER_POLICY_KINDS.iter().find(|row| row.kind == kind && row.groups.contains(&group));
        let is_evaluated = EVALUATED_GROUPS.contains(&group) && EVALUATED_KINDS.contains(&kind);
        known.or_else(|| (!is_evaluated && is_named_like_a_policy(kind)).then_some(BY_NAME))
    }

    /// Whether a word in a text, as the value of `kind`, names a policy of the table that is enforced, or is named like a policy.
    /// A common word such as `Tier` does so only if `text` also contains the kind's group.
    #[must_use]
    pub fn is_named(word: &str, text: &str) -> bool {
        let mut rows = OTHER_POLICY_KINDS.iter().filter(|row| row.kind == word);
        if rows.clone().any(|row| row.role == Role::NotEnforced) {
            return false;
        }
        let is_meant =
            |row: &Self| !COMMON_NAMES.contains(&word) || row.groups.iter().any(|group| text.contains(group));
        rows.any(is_meant) || is_named_like_a_policy(word)
    }

    /// Whether its objects have a namespace. `None`: unknown.
    #[must_use]
    pub fn is_namespaced(&self) -> Option<bool> {
        match self.scope {
            Scope::Namespace | Scope::NamespaceOrRoot(_) | Scope::Mesh => Some(true),
            Scope::Cluster => Some(false),
            Scope::Unknown => None,
        }
    }
}

fn is_named_like_a_policy(kind: &str) -> bool {
    ["NetworkPolicy", "AuthorizationPolicy"].iter().any(|word| {
        let rest = kind.rsplit_once(word).map(|(_, rest)| rest);
        rest.is_some_and(|rest| !DESCRIPTIONS.iter().any(|description| rest.starts_with(description)))
    })
}
