//! The spec of an exception.

use super::{Strictness, names, policy};
use crate::exception::AuditExceptionSpec;
use crate::object::FieldError;
use crate::object::path::Path;

pub(super) fn check(spec: &AuditExceptionSpec, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    let policy_ref = Path::Field(path, "policyRef");
    if let Err(problem) = names::subdomain(&spec.policy_ref.name) {
        faults.push(Path::Field(&policy_ref, "name").fault(problem));
    }
    let peers = Path::Field(path, "peers");
    if spec.peers.is_empty() {
        faults.push(peers.fault("required: an exception says whom it is for, as a rule of a NetworkPolicy does"));
    }
    policy::check_peers(Some(&spec.peers), strictness, &peers, faults);
    policy::check_ports(spec.ports.as_deref(), &Path::Field(path, "ports"), faults);
    if spec.reason.trim().is_empty() {
        faults.push(Path::Field(path, "reason").fault("required: say why these denials are accepted"));
    }
}
