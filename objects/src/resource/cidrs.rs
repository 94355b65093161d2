//! The CIDRs of an object, with their paths.

use std::collections::BTreeSet;

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicySpec};

use crate::model::cidr::{OldForm, parse_cidr};
use crate::model::flow::Direction;
use crate::resource::admin_view::AdminPolicyView;
use crate::resource::object::Object;
use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;

/// Faults of the CIDRs that Kubernetes refuses in new objects: with host bits set, with leading zeros, or IPv4-mapped. A CIDR
/// is not a fault if `stored` contains the same text, because the object's previous version had it.
#[must_use]
pub fn new_faults(object: &Object, stored: &BTreeSet<String>) -> Vec<FieldError> {
    faults_of_forms(object, stored, &[OldForm::LeadingZeros, OldForm::MappedIpv4, OldForm::HostBits])
}

/// Of [`new_faults`], those of some forms.
#[must_use]
pub fn faults_of_forms(object: &Object, stored: &BTreeSet<String>, forms: &[OldForm]) -> Vec<FieldError> {
    let mut faults = Vec::new();
    each(object, &mut |path, text| {
        let Ok(cidr) = parse_cidr(text) else { return };
        let is_new = |form: &OldForm| forms.contains(form) && !stored.contains(text);
        let Some(form) = cidr.old_form.filter(is_new) else { return };
        // The definitions of these kinds accept host bits.
        if form == OldForm::HostBits
            && matches!(object, Object::AdminNetworkPolicy(_) | Object::BaselineAdminNetworkPolicy(_))
        {
            return;
        }
        let single = match (form, text.split_once('/')) {
            (OldForm::HostBits, Some((address, _))) => {
                format!(", or \"{address}/{}\" for this single address", cidr.net.max_prefix_len())
            }
            _ => String::new(),
        };
        let problem = format!("{text:?} has {form}: write \"{}\"{single}", cidr.net);
        faults.push(path.fault(problem).invalid_text(text, form.api_error()));
    });
    faults
}

/// The texts of all CIDRs in an object. [`new_faults`] accepts these in its next version.
#[must_use]
pub fn texts(object: &Object) -> BTreeSet<String> {
    let mut texts = BTreeSet::new();
    each(object, &mut |_, text| {
        texts.insert(text.to_owned());
    });
    texts
}

/// Visits every CIDR of a policy or an exception, with its path.
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
        other => {
            if let Some(policy) = AdminPolicyView::of(other) {
                of_admin(&policy, spec, visit);
            }
        }
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

fn of_admin(policy: &AdminPolicyView<'_>, spec: &Path<'_>, visit: &mut dyn FnMut(&Path<'_>, &str)) {
    let egress = Path::Field(spec, "egress");
    for (n, rule) in policy.rules(Direction::Egress).iter().enumerate() {
        let rule_path = Path::Item(&egress, n);
        let to = Path::Field(&rule_path, "to");
        for (n, peer) in rule.each_peer().enumerate() {
            let peer_path = Path::Item(&to, n);
            let networks = Path::Field(&peer_path, "networks");
            for (n, text) in peer.networks.into_iter().flatten().enumerate() {
                visit(&Path::Item(&networks, n), text);
            }
        }
    }
}
