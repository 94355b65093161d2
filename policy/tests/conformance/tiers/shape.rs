//! The kinds in their tiers, and a common way to write their policies.

use serde_json::{Value, json};

/// A kind in a tier, and the prefix of its tests' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Admin,
    Baseline,
    ClusterAdmin,
    ClusterBaseline,
}

use Shape::{Admin, Baseline, ClusterAdmin, ClusterBaseline};

pub(super) const ALL: [Shape; 4] = [Admin, Baseline, ClusterAdmin, ClusterBaseline];
pub(super) const PROTOCOLS: [(&str, u16, u16); 3] = [("TCP", 80, 8080), ("UDP", 53, 5353), ("SCTP", 9003, 9005)];

impl Shape {
    pub(super) fn prefix(self) -> &'static str {
        match self {
            Admin => "AdminNetworkPolicy",
            Baseline => "BaselineAdminNetworkPolicy",
            ClusterAdmin => "CNPAdminTier",
            ClusterBaseline => "CNPBaselineTier",
        }
    }

    pub(super) fn is_cluster(self) -> bool {
        matches!(self, ClusterAdmin | ClusterBaseline)
    }

    pub(super) fn is_admin(self) -> bool {
        matches!(self, Admin | ClusterAdmin)
    }

    /// A policy with these rules.
    pub(super) fn policy(
        self,
        name: &str,
        priority: u16,
        subject: &Value,
        ingress: &[Rule],
        egress: &[Rule],
    ) -> String {
        let rules = |rules: &[Rule], peers: &str| -> Vec<Value> {
            rules.iter().map(|rule| rule.manifest(self, peers)).collect()
        };
        let (version, kind) = match self {
            Admin => ("v1alpha1", "AdminNetworkPolicy"),
            Baseline => ("v1alpha1", "BaselineAdminNetworkPolicy"),
            ClusterAdmin => ("v1beta1", "ClusterNetworkPolicy"),
            ClusterBaseline => ("v1alpha2", "ClusterNetworkPolicy"),
        };
        let mut spec = json!({"subject": subject, "ingress": rules(ingress, "from"), "egress": rules(egress, "to")});
        if self != Baseline {
            spec["priority"] = json!(priority);
        }
        if self.is_cluster() {
            spec["tier"] = json!(if self == ClusterAdmin { "Admin" } else { "Baseline" });
        }
        let name = if self == Baseline { "default" } else { name };
        json!({
            "apiVersion": format!("policy.networking.k8s.io/{version}"), "kind": kind,
            "metadata": {"name": name}, "spec": spec,
        })
        .to_string()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) action: &'static str,
    pub(super) peers: Value,
    pub(super) ports: Vec<Port>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Port {
    Number(&'static str, u16),
    Range(&'static str, u16, u16),
    Named(&'static str),
}

pub(super) fn rule(action: &'static str, peer: &Value, ports: &[Port]) -> Rule {
    Rule { action, peers: json!([peer]), ports: ports.to_vec() }
}

impl Rule {
    fn manifest(&self, shape: Shape, peers: &str) -> Value {
        let action = if self.action == "Accept" && !shape.is_cluster() { "Allow" } else { self.action };
        let mut rule = json!({"action": action});
        rule[peers] = self.peers.clone();
        if !self.ports.is_empty() {
            let port = |port: &Port| match *port {
                Port::Named(name) if shape.is_cluster() => json!({"destinationNamedPort": name}),
                Port::Named(name) => json!({"namedPort": name}),
                Port::Number(protocol, number) if shape.is_cluster() => {
                    json!({protocol.to_lowercase(): {"destinationPort": {"number": number}}})
                }
                Port::Number(protocol, number) => json!({"portNumber": {"protocol": protocol, "port": number}}),
                Port::Range(protocol, start, end) if shape.is_cluster() => {
                    json!({protocol.to_lowercase(): {"destinationPort": {"range": {"start": start, "end": end}}}})
                }
                Port::Range(protocol, start, end) => {
                    json!({"portRange": {"protocol": protocol, "start": start, "end": end}})
                }
            };
            rule[if shape.is_cluster() { "protocols" } else { "ports" }] = self.ports.iter().map(port).collect();
        }
        rule
    }
}
