//! The spec of a policy, checked as by upstream's `ValidateNetworkPolicySpec`.

use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::json;

use crate::model::cidr::{NO_CIDR, parse_cidr};
use crate::resource::object::fault::FieldError;
use crate::resource::object::path::Path;
use crate::resource::validation::{Strictness, api_errors, names, selector};

const PORTS: std::ops::RangeInclusive<i32> = 1..=65535;

pub(super) fn check(spec: &NetworkPolicySpec, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    if let Some(pods) = &spec.pod_selector {
        selector::check(pods, strictness, &Path::Field(path, "podSelector"), faults);
    }
    let ingress = Path::Field(path, "ingress");
    for (n, rule) in spec.ingress.iter().flatten().enumerate() {
        let path = Path::Item(&ingress, n);
        check_ports(rule.ports.as_deref(), &Path::Field(&path, "ports"), faults);
        check_peers(rule.from.as_deref(), strictness, &Path::Field(&path, "from"), faults);
    }
    let egress = Path::Field(path, "egress");
    for (n, rule) in spec.egress.iter().flatten().enumerate() {
        let path = Path::Item(&egress, n);
        check_ports(rule.ports.as_deref(), &Path::Field(&path, "ports"), faults);
        check_peers(rule.to.as_deref(), strictness, &Path::Field(&path, "to"), faults);
    }
    check_types(spec.policy_types.as_deref().unwrap_or_default(), &Path::Field(path, "policyTypes"), faults);
}

/// Upstream accepts a type that is listed twice, and refuses only lists of three or more.
fn check_types(types: &[String], path: &Path<'_>, faults: &mut Vec<FieldError>) {
    if types.len() > 2 {
        let problem = format!("{} entries: write Ingress, Egress or both, each once", types.len());
        faults.push(path.fault(problem).invalid(json!(types), "may not specify more than two policyTypes"));
        return;
    }
    for (n, name) in types.iter().enumerate() {
        if !matches!(name.as_str(), "Ingress" | "Egress") {
            let problem = format!("{name:?} is not a direction of a policy: write Ingress or Egress");
            faults.push(Path::Item(path, n).fault(problem).unsupported(name, &["Ingress", "Egress"]));
        }
    }
}

pub(super) fn check_ports(ports: Option<&[NetworkPolicyPort]>, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    for (n, port) in ports.into_iter().flatten().enumerate() {
        check_port(port, &Path::Item(path, n), faults);
    }
}

fn check_port(port: &NetworkPolicyPort, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    if let Some(protocol) = &port.protocol
        && !matches!(protocol.as_str(), "TCP" | "UDP" | "SCTP")
    {
        let problem = format!("{protocol:?} is not a protocol of a policy: write TCP, UDP or SCTP");
        faults.push(Path::Field(path, "protocol").fault(problem).unsupported(protocol, &["TCP", "UDP", "SCTP"]));
    }
    let end_path = Path::Field(path, "endPort");
    match (&port.port, port.end_port) {
        (Some(IntOrString::Int(first)), end) => {
            if !PORTS.contains(first) {
                faults.push(out_of_range(*first, &Path::Field(path, "port")));
            }
            let Some(end) = end else { return };
            if end < *first {
                let problem = format!("{end} is below port {first}: write the last port of the range");
                // Upstream reports the first port here, not endPort.
                faults.push(end_path.fault(problem).invalid(first, "must be greater than or equal to `port`"));
            }
            if !PORTS.contains(&end) {
                faults.push(out_of_range(end, &end_path));
            }
        }
        (Some(IntOrString::String(name)), end) => {
            if let Some(end) = end {
                let problem = "a range cannot start at a named port: write port as a number, or leave endPort out";
                faults.push(end_path.fault(problem).invalid(end, "may not be specified when `port` is non-numeric"));
            }
            if let Err(problem) = names::port(name) {
                let fault = Path::Field(path, "port").fault(problem);
                faults.push(fault.invalid_texts(name, &api_errors::port(name)));
            }
        }
        (None, Some(end)) => {
            let problem = "a range needs a first port: write port as well, or leave endPort out";
            faults.push(end_path.fault(problem).invalid(end, "may not be specified when `port` is not specified"));
        }
        (None, None) => {}
    }
}

fn out_of_range(port: i32, path: &Path<'_>) -> FieldError {
    let (first, last) = (PORTS.start(), PORTS.end());
    path.fault(format!("{port} is not a port: write a number from {first} to {last}"))
        .invalid(port, &format!("must be between {first} and {last}, inclusive"))
}

pub(super) fn check_peers(
    peers: Option<&[NetworkPolicyPeer]>,
    strictness: Strictness,
    path: &Path<'_>,
    faults: &mut Vec<FieldError>,
) {
    for (n, peer) in peers.into_iter().flatten().enumerate() {
        check_peer(peer, strictness, &Path::Item(path, n), faults);
    }
}

fn check_peer(peer: &NetworkPolicyPeer, strictness: Strictness, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    if let Some(pods) = &peer.pod_selector {
        selector::check(pods, strictness, &Path::Field(path, "podSelector"), faults);
    }
    if let Some(namespaces) = &peer.namespace_selector {
        selector::check(namespaces, strictness, &Path::Field(path, "namespaceSelector"), faults);
    }
    if let Some(block) = &peer.ip_block {
        check_block(block, &Path::Field(path, "ipBlock"), faults);
    }
    match (&peer.ip_block, peer.pod_selector.is_some() || peer.namespace_selector.is_some()) {
        (None, false) => {
            let problem = "selects no peer: write podSelector, namespaceSelector or ipBlock; {} selects all pods";
            faults.push(path.fault(problem).required("must specify a peer"));
        }
        (Some(_), true) => {
            let problem = "ipBlock cannot be combined with selectors: write the selectors as a separate peer";
            faults.push(path.fault(problem).forbidden("may not specify both ipBlock and another peer"));
        }
        (Some(_), false) | (None, true) => {}
    }
}

fn check_block(block: &IPBlock, path: &Path<'_>, faults: &mut Vec<FieldError>) {
    let cidr_path = Path::Field(path, "cidr");
    if block.cidr.is_empty() {
        faults.push(cidr_path.fault("required: write, for example, 10.9.8.0/24 or 2001:db8::/64").required(""));
        return;
    }
    let cidr = match parse_cidr(&block.cidr) {
        Ok(cidr) => cidr,
        Err(problem) => return faults.push(cidr_path.fault(problem).invalid_text(&block.cidr, NO_CIDR)),
    };
    let excepts = Path::Field(path, "except");
    for (n, text) in block.except.iter().flatten().enumerate() {
        let path = Path::Item(&excepts, n);
        match parse_cidr(text) {
            Err(problem) => faults.push(path.fault(problem).invalid_text(text, NO_CIDR)),
            // Like upstream, compare prefix lengths as written. Otherwise some stored objects could not be read.
            Ok(except) if !cidr.net.contains(&except.net.addr()) || cidr.written_prefix >= except.written_prefix => {
                let problem = format!("{text:?} is not within {:?}: write a smaller range", block.cidr);
                faults.push(path.fault(problem).invalid_text(text, "must be a strict subset of `cidr`"));
            }
            Ok(_) => {}
        }
    }
}
