//! The defaults that an API server would set in a NetworkPolicy. Manifests from Git do not have them.

use k8s_openapi::api::networking::v1::{NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

/// The default protocol of a port in a policy, container or Service.
pub const PROTOCOL: &str = "TCP";

/// The spec as an API server would store it: with a `podSelector`, with `policyTypes`, and with a protocol for every port.
/// Rules of a direction that `policyTypes` does not contain are kept, but have no effect.
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

/// Sets the protocol of each port that has none.
pub fn default_ports(ports: Option<&mut Vec<NetworkPolicyPort>>) {
    for port in ports.into_iter().flatten() {
        port.protocol.get_or_insert_with(|| PROTOCOL.to_owned());
    }
}

/// Upstream's `SetDefaults_NetworkPolicy`: an empty `policyTypes` counts as absent, and the default contains Egress only if
/// there is at least one egress rule.
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
