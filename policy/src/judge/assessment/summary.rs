//! The reason for a denial in a few words, for the cell of a table: the rule that came nearest and the first thing that failed.

use crate::explain::nearest::{PeerCause, PeerMismatch, PortCause, RuleMismatch};
use crate::policy::network_policy::Failed;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::labels::NAMESPACE_NAME_LABEL;

/// `no ingress rules`: the policy restricts the direction and allows nothing.
pub(super) fn no_rules(direction: Direction) -> String {
    match direction {
        Direction::Ingress => "no ingress rules".to_owned(),
        Direction::Egress => "no egress rules".to_owned(),
    }
}

/// `ingress[0]: namespace label team=shop, not ops`. Protocol and port are the connection's.
pub(super) fn of_mismatch(mismatch: &RuleMismatch, protocol: Protocol, port: u16) -> String {
    let of_port = || mismatch.ports.first().map(|nearest| port_cause(&nearest.cause, protocol, port));
    let failed = match mismatch.failed {
        Failed::Peer => mismatch.peers.first().map(peer),
        Failed::Port => of_port(),
        Failed::PeerAndPort => {
            let of_peer = mismatch.peers.first().and_then(|nearest| nearest.causes.first()).map(peer_cause);
            of_peer.zip(of_port()).map(|(of_peer, of_port)| format!("{of_peer}; {of_port}"))
        }
    };
    format!("{}: {}", mismatch.rule, failed.as_deref().unwrap_or("neither peer nor port matches"))
}

fn peer(mismatch: &PeerMismatch) -> String {
    let first = mismatch.causes.first().map(peer_cause).unwrap_or_default();
    match mismatch.causes.len() {
        0 | 1 => first,
        2 => format!("{first}; 1 more label differs"),
        causes => format!("{first}; {} more labels differ", causes - 1),
    }
}

fn peer_cause(cause: &PeerCause) -> String {
    match cause {
        PeerCause::OtherNamespace { namespace, wanted } => format!("namespace is {namespace}, not {wanted}"),
        // Every namespace has this label, with its own name.
        PeerCause::NamespaceLabel { namespace, key, wanted, .. } if key == NAMESPACE_NAME_LABEL => {
            match wanted_value(key, wanted) {
                Some(wanted) => format!("namespace is {namespace}, not {wanted}"),
                None => format!("namespace {namespace} is not selected"),
            }
        }
        PeerCause::NamespaceLabel { key, wanted, found, .. } => label("namespace", key, wanted, found.as_deref()),
        PeerCause::PodLabel { key, wanted, found } => label("pod", key, wanted, found.as_deref()),
        PeerCause::NotInBlock { ip, cidr } => format!("{ip} is not in {cidr}"),
        PeerCause::InException { ip, except } => format!("{ip} is in except {except}"),
        PeerCause::Outside { ip } => format!("no ipBlock for {ip}, outside the cluster"),
        PeerCause::Node { ip } => format!("no ipBlock for {ip}, a node's address"),
        PeerCause::Unresolved { ip } => format!("the pod with address {ip} is unknown"),
    }
}

/// `pod label app=web, not shop`, or `pod label app=shop missing`.
fn label(of: &str, key: &str, wanted: &str, found: Option<&str>) -> String {
    match (found, wanted_value(key, wanted)) {
        (None, _) => format!("{of} label {wanted} missing"),
        (Some(found), Some(wanted)) => format!("{of} label {key}={}, not {}", value(found), value(wanted)),
        (Some(found), None) => format!("{of} label {key}={}, but {wanted} required", value(found)),
    }
}

/// The value of a requirement `key=value`; `None` for other requirements.
fn wanted_value<'r>(key: &str, wanted: &'r str) -> Option<&'r str> {
    wanted.strip_prefix(key)?.strip_prefix('=')
}

/// An empty value is shown as `""`.
fn value(text: &str) -> &str {
    if text.is_empty() { "\"\"" } else { text }
}

fn port_cause(cause: &PortCause, protocol: Protocol, port: u16) -> String {
    match cause {
        PortCause::OtherNumber => format!("port {port} not allowed"),
        PortCause::OtherProtocol { wanted } => format!("port {port} allowed for {wanted}, not {protocol}"),
        PortCause::OtherProtocolAndNumber { .. } => format!("{protocol} {port} not allowed"),
        PortCause::DeclaredWithOtherNumber { name, number } => format!("port {name} is {number}, not {port}"),
        PortCause::DeclaredWithOtherProtocol { name, protocol: declared } => {
            format!("port {name} is {declared}, not {protocol}")
        }
        PortCause::NotDeclared { name } => format!("the pod declares no port {name}"),
        PortCause::NoNamedPorts { name } => format!("port {name} has no number outside the pods"),
    }
}
