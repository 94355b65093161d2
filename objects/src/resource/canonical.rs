//! A canonical form of policies: specs with the same meaning have the same JSON.

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::Serialize;
use serde_json::Value;

use crate::model::cidr::parse_cidr;
use crate::resource::defaults::{default_ports, defaulted};

/// The spec with defaults applied, without empty lists where they mean the same as absent ones, and with each CIDR written as
/// its network. Lists keep their order, except `policyTypes`, which is a set.
#[must_use]
pub fn canonical_spec(spec: &NetworkPolicySpec) -> NetworkPolicySpec {
    let mut spec = defaulted(spec);
    if let Some(types) = &mut spec.policy_types {
        // Ingress first, which is the usual order in manifests.
        types.sort_by(|a, b| b.cmp(a));
        types.dedup();
    }
    if let Some(selector) = &mut spec.pod_selector {
        canonical_selector(selector);
    }
    for rule in spec.ingress.iter_mut().flatten() {
        canonical_peers(&mut rule.from);
        canonical_ports(&mut rule.ports);
    }
    for rule in spec.egress.iter_mut().flatten() {
        canonical_peers(&mut rule.to);
        canonical_ports(&mut rule.ports);
    }
    without_empty(&mut spec.ingress);
    without_empty(&mut spec.egress);
    spec
}

pub(crate) fn canonical_peers(peers: &mut Option<Vec<NetworkPolicyPeer>>) {
    without_empty(peers);
    for peer in peers.iter_mut().flatten() {
        for selector in [&mut peer.pod_selector, &mut peer.namespace_selector].into_iter().flatten() {
            canonical_selector(selector);
        }
        if let Some(block) = &mut peer.ip_block {
            without_empty(&mut block.except);
            for text in std::iter::once(&mut block.cidr).chain(block.except.iter_mut().flatten()) {
                if let Ok(cidr) = parse_cidr(text) {
                    *text = cidr.net.to_string();
                }
            }
        }
    }
}

pub(crate) fn canonical_ports(ports: &mut Option<Vec<NetworkPolicyPort>>) {
    without_empty(ports);
    default_ports(ports.as_mut());
}

pub(crate) fn canonical_selector(selector: &mut LabelSelector) {
    without_empty(&mut selector.match_expressions);
    for requirement in selector.match_expressions.iter_mut().flatten() {
        without_empty(&mut requirement.values);
    }
    if selector.match_labels.as_ref().is_some_and(std::collections::BTreeMap::is_empty) {
        selector.match_labels = None;
    }
}

/// The value as JSON. Serialization cannot fail for the types of this crate.
pub fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn without_empty<T>(list: &mut Option<Vec<T>>) {
    if list.as_ref().is_some_and(Vec::is_empty) {
        *list = None;
    }
}
