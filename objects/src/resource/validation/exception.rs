//! The spec of an `AuditException`.

use crate::resource::exception::AuditExceptionSpec;
use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;
use crate::resource::validation::{Strictness, api_errors, names, policy};

pub(super) fn check(spec: &AuditExceptionSpec, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    let policy_ref = Path::Field(path, "policyRef");
    if let Err(problem) = names::subdomain(&spec.policy_ref.name) {
        let (name, fault) = (&spec.policy_ref.name, Path::Field(&policy_ref, "name").fault(problem));
        faults.push(fault.invalid_texts(name, &api_errors::subdomain(name)));
    }
    let peers = Path::Field(path, "peers");
    if spec.peers.is_empty() {
        let problem = "an exception needs at least one peer, as in a rule of a NetworkPolicy";
        faults.push(peers.fault(format!("required: {problem}")).required(problem));
    }
    policy::check_peers(Some(&spec.peers), strictness, &peers, faults);
    policy::check_ports(spec.ports.as_deref(), &Path::Field(path, "ports"), faults);
    if spec.reason.trim().is_empty() {
        let problem = "say why these denials are accepted";
        faults.push(Path::Field(path, "reason").fault(format!("required: {problem}")).required(problem));
    }
}
