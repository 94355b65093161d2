//! The spec of a NetworkPolicy or of an audit policy.

use k8s_openapi::api::networking::v1::NetworkPolicySpec;

use foretell_objects::resource::object::Object;

/// The spec as in the manifest; `None` for other kinds.
pub(super) fn spec_of(object: &Object) -> Option<NetworkPolicySpec> {
    match object {
        Object::NetworkPolicy(policy) => Some(policy.spec.clone().unwrap_or_default()),
        Object::AuditNetworkPolicy(policy) => Some(policy.spec.policy.clone()),
        Object::AuditClusterNetworkPolicy(policy) => Some(policy.spec.policy()),
        _ => None,
    }
}

/// The same policy with the rules of `spec`.
pub(super) fn with_rules(object: &Object, spec: &NetworkPolicySpec) -> Object {
    let mut object = object.clone();
    match &mut object {
        Object::NetworkPolicy(policy) => {
            let own = policy.spec.get_or_insert_default();
            own.ingress.clone_from(&spec.ingress);
            own.egress.clone_from(&spec.egress);
        }
        Object::AuditNetworkPolicy(policy) => {
            policy.spec.policy.ingress.clone_from(&spec.ingress);
            policy.spec.policy.egress.clone_from(&spec.egress);
        }
        Object::AuditClusterNetworkPolicy(policy) => {
            policy.spec.ingress.clone_from(&spec.ingress);
            policy.spec.egress.clone_from(&spec.egress);
        }
        _ => {}
    }
    object
}
