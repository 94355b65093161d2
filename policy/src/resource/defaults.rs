//! The defaults that an API server would write into a NetworkPolicy. YAML from Git never passed one.

use k8s_openapi::api::networking::v1::{NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The protocol of a policy's port, a container's port or a Service's port that names none.
pub const PROTOCOL: &str = "TCP";

/// The spec as an API server would store it: `podSelector` there, `policyTypes` not empty, every port with a protocol.
/// The rules of a direction that is not in force are kept; nothing reads them.
#[must_use]
pub fn defaulted(spec: &NetworkPolicySpec) -> NetworkPolicySpec {
    let mut spec = spec.clone();
    spec.pod_selector.get_or_insert_with(LabelSelector::default);
    spec.policy_types = Some(policy_types(&spec));
    for rule in spec.ingress.iter_mut().flatten() {
        default_ports(rule.ports.as_mut());
    }
    for rule in spec.egress.iter_mut().flatten() {
        default_ports(rule.ports.as_mut());
    }
    spec
}

/// Gives each port the protocol that it does not name.
pub fn default_ports(ports: Option<&mut Vec<NetworkPolicyPort>>) {
    for port in ports.into_iter().flatten() {
        port.protocol.get_or_insert_with(|| PROTOCOL.to_owned());
    }
}

/// Upstream's `SetDefaults_NetworkPolicy`: an empty list counts as absent, and so does an empty list of egress rules.
fn policy_types(spec: &NetworkPolicySpec) -> Vec<String> {
    if let Some(given) = spec.policy_types.as_ref().filter(|given| !given.is_empty()) {
        return given.clone();
    }
    let mut types = vec!["Ingress".to_owned()];
    if spec.egress.as_ref().is_some_and(|rules| !rules.is_empty()) {
        types.push("Egress".to_owned());
    }
    types
}
