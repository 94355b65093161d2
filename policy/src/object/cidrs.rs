//! Where the CIDRs stand in an object.

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicySpec};

use super::Object;
use super::path::Path;

/// Every CIDR of a policy or an exception, with its path.
pub(super) fn each(object: &Object, visit: &mut dyn FnMut(&Path<'_>, &str)) {
    let spec = &Path::Root("spec");
    match object {
        Object::NetworkPolicy(object) => {
            if let Some(policy) = &object.spec {
                of_policy(policy, spec, visit);
            }
        }
        Object::AuditNetworkPolicy(object) => of_policy(&object.spec.policy, spec, visit),
        Object::AuditClusterNetworkPolicy(object) => of_policy(&object.spec.policy(), spec, visit),
        Object::AuditException(object) => of_peers(&object.spec.peers, &Path::Field(spec, "peers"), visit),
        _ => {}
    }
}

fn of_policy(policy: &NetworkPolicySpec, spec: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &str)) {
    let ingress = Path::Field(spec, "ingress");
    for (n, rule) in policy.ingress.iter().flatten().enumerate() {
        let rule_path = Path::Item(&ingress, n);
        of_peers(rule.from.as_deref().unwrap_or_default(), &Path::Field(&rule_path, "from"), visit);
    }
    let egress = Path::Field(spec, "egress");
    for (n, rule) in policy.egress.iter().flatten().enumerate() {
        let rule_path = Path::Item(&egress, n);
        of_peers(rule.to.as_deref().unwrap_or_default(), &Path::Field(&rule_path, "to"), visit);
    }
}

fn of_peers(peers: &[NetworkPolicyPeer], path: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &str)) {
    for (n, peer) in peers.iter().enumerate() {
        let Some(block) = &peer.ip_block else { continue };
        let peer_path = Path::Item(path, n);
        let block_path = Path::Field(&peer_path, "ipBlock");
        visit(&Path::Field(&block_path, "cidr"), &block.cidr);
        let excepts = Path::Field(&block_path, "except");
        for (n, text) in block.except.iter().flatten().enumerate() {
            visit(&Path::Item(&excepts, n), text);
        }
    }
}
