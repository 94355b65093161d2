//! Compiled NetworkPolicies and audit policies. *Not restricted* and *no rules* are different variants, so they cannot be
//! confused.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::policy::peer::PeerSet;
use crate::policy::port::PortSet;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::{Labels, Selector};
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::defaults::defaulted;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::id::ObjectId;

/// A compiled NetworkPolicy, AuditNetworkPolicy or AuditClusterNetworkPolicy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Kind, namespace and name of the policy.
    pub reference: PolicyRef,
    scope: Scope,
    pods: Selector,
    ingress: Restriction,
    egress: Restriction,
}

#[derive(Clone, Debug)]
enum Scope {
    Namespace(String),
    Namespaces(Selector),
}

/// Which traffic of a selected pod a policy restricts, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// None: `policyTypes` does not contain the direction.
    None,
    /// Only traffic that a rule matches is allowed. Without rules, everything is denied.
    Only(Vec<Rule>),
}

impl Restriction {
    /// All blocks of its rules, including their `except`s.
    pub fn blocks(&self) -> impl Iterator<Item = IpNet> {
        let rules = match self {
            Self::None => &[][..],
            Self::Only(rules) => rules,
        };
        rules.iter().flat_map(|rule| rule.peers.blocks())
    }
}

/// A rule: peers and ports must both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The peers that the rule matches.
    pub peers: PeerSet,
    /// The destination ports that the rule matches.
    pub ports: PortSet,
}

/// Which part of a rule did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Failed {
    /// The peers match, the port does not.
    Port,
    /// The port matches, the peers do not.
    Peer,
    /// Neither the peers nor the port match.
    PeerAndPort,
}

impl Policy {
    /// Compiles a `NetworkPolicy` or an `AuditNetworkPolicy`, which selects pods of `reference.namespace`.
    #[must_use]
    pub fn namespaced(reference: PolicyRef, spec: &NetworkPolicySpec) -> Self {
        let scope = Scope::Namespace(reference.namespace.clone());
        Self::compile(reference, scope, spec)
    }

    /// Compiles an `AuditClusterNetworkPolicy`. Without a namespace selector it selects pods of every namespace.
    #[must_use]
    pub fn cluster_wide(reference: PolicyRef, namespaces: Option<&LabelSelector>, spec: &NetworkPolicySpec) -> Self {
        let scope = Scope::Namespaces(namespaces.map_or_else(Selector::everything, Selector::compile));
        Self::compile(reference, scope, spec)
    }

    /// Compiles an object. `None`: it is neither a NetworkPolicy nor an audit policy.
    ///
    /// ```
    /// use foretell_objects::model::flow::{Direction, Protocol};
    /// use foretell_objects::model::labels::Labels;
    /// use foretell_policy::policy::network_policy::{Policy, Restriction};
    /// use foretell_policy::policy::peer::{Peer, PeerMatch};
    /// use foretell_policy::policy::port::Port;
    /// use foretell_objects::resource::object::origin::Origin;
    /// use foretell_objects::resource::read::read;
    /// use serde_json::json;
    ///
    /// let manifest = json!({
    ///     "apiVersion": "networking.k8s.io/v1",
    ///     "kind": "NetworkPolicy",
    ///     "metadata": {"name": "web", "namespace": "shop"},
    ///     "spec": {
    ///         "podSelector": {"matchLabels": {"app": "web"}},
    ///         "ingress": [{"from": [{"ipBlock": {"cidr": "203.0.113.0/24"}}], "ports": [{"port": 443}]}],
    ///     },
    /// });
    /// let object = read(manifest, &Origin::Cluster)?.expect("a kind that is read");
    /// let policy = Policy::of(&object).expect("a policy");
    ///
    /// let web = Labels::from([("app".to_owned(), "web".to_owned())]);
    /// assert!(policy.selects("shop", &Labels::new(), &web));
    /// assert_eq!(policy.restriction(Direction::Egress), &Restriction::None);
    ///
    /// // Would it allow a client from outside of the cluster?
    /// let allows = |client: &str, port: u16| {
    ///     let peer = Peer::Outside { ip: client.parse().expect("an address") };
    ///     let port = Port { protocol: Protocol::Tcp, number: port, named: &[] };
    ///     policy.rules(Direction::Ingress).iter().any(|rule| {
    ///         rule.peers.matches(&peer, "shop") == PeerMatch::Yes && rule.ports.contains(&port)
    ///     })
    /// };
    /// assert!(allows("203.0.113.9", 443));
    /// assert!(!allows("203.0.113.9", 8080));
    /// assert!(!allows("198.51.100.1", 443));
    /// # Ok::<(), foretell_objects::resource::object::fault::ObjectError>(())
    /// ```
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let ObjectId { namespace, name, .. } = object.id();
        let reference = |kind| PolicyRef { kind, namespace, name };
        Some(match object {
            Object::NetworkPolicy(policy) => {
                Self::namespaced(reference(PolicyKind::NetworkPolicy), &policy.spec.clone().unwrap_or_default())
            }
            Object::AuditNetworkPolicy(policy) => {
                Self::namespaced(reference(PolicyKind::AuditNetworkPolicy), &policy.spec.policy)
            }
            Object::AuditClusterNetworkPolicy(policy) => Self::cluster_wide(
                reference(PolicyKind::AuditClusterNetworkPolicy),
                policy.spec.namespace_selector.as_ref(),
                &policy.spec.policy(),
            ),
            _ => return None,
        })
    }

    fn compile(reference: PolicyRef, scope: Scope, spec: &NetworkPolicySpec) -> Self {
        let spec = defaulted(spec);
        let restricts = |direction: &str| spec.policy_types.iter().flatten().any(|listed| listed == direction);
        let ingress = spec.ingress.iter().flatten().map(|rule| Rule {
            peers: PeerSet::compile(rule.from.as_deref()),
            ports: PortSet::compile(rule.ports.as_deref()),
        });
        let egress = spec.egress.iter().flatten().map(|rule| Rule {
            peers: PeerSet::compile(rule.to.as_deref()),
            ports: PortSet::compile(rule.ports.as_deref()),
        });
        Self {
            reference,
            scope,
            pods: spec.pod_selector.as_ref().map_or_else(Selector::everything, Selector::compile),
            ingress: if restricts("Ingress") { Restriction::Only(ingress.collect()) } else { Restriction::None },
            egress: if restricts("Egress") { Restriction::Only(egress.collect()) } else { Restriction::None },
        }
    }

    /// Whether it denies some traffic of the pods that it selects: it restricts a direction in which no rule allows everything.
    #[must_use]
    pub fn can_deny(&self) -> bool {
        let allows_everything = |rule: &Rule| rule.peers == PeerSet::Everyone && rule.ports == PortSet::Any;
        [&self.ingress, &self.egress].into_iter().any(|restriction| match restriction {
            Restriction::None => false,
            Restriction::Only(rules) => !rules.iter().any(allows_everything),
        })
    }

    /// Which traffic it restricts in a direction.
    #[must_use]
    pub fn restriction(&self, direction: Direction) -> &Restriction {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether a rule refers to a port by its name.
    pub(crate) fn names_ports(&self, direction: Direction, rule: usize) -> bool {
        match self.restriction(direction) {
            Restriction::None => false,
            Restriction::Only(rules) => rules.get(rule).is_some_and(|rule| rule.ports.has_names()),
        }
    }

    /// Whether it selects a pod with these labels in `namespace`, which has `namespace_labels`.
    #[must_use]
    pub fn selects(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        let in_scope = match &self.scope {
            Scope::Namespace(own) => own == namespace,
            Scope::Namespaces(selector) => selector.matches(namespace_labels),
        };
        in_scope && self.pods.matches(labels)
    }

    /// Its rules for a direction; empty if it does not restrict the direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match self.restriction(direction) {
            Restriction::None => &[],
            Restriction::Only(rules) => rules,
        }
    }

    /// The selector for pods within its namespaces.
    pub(crate) fn pods(&self) -> &Selector {
        &self.pods
    }

    /// The selector for namespaces; `None` for a policy of a single namespace.
    pub(crate) fn namespaces(&self) -> Option<&Selector> {
        match &self.scope {
            Scope::Namespace(_) => None,
            Scope::Namespaces(selector) => Some(selector),
        }
    }

    /// The namespace of its pods; `None` if it selects namespaces by their labels.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match &self.scope {
            Scope::Namespace(own) => Some(own),
            Scope::Namespaces(_) => None,
        }
    }
}
