//! A mismatch as part of a sentence: what the rule matches, and why it does not match this peer or this port.

use crate::explain::nearest::{PeerCause, PeerMismatch, PortCause, RuleMismatch};
use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Rule};
use crate::policy::peer::{Peer, PeerSet};
use crate::policy::port::{Port, PortSet};
use foretell_objects::model::labels::NAMESPACE_NAME_LABEL;

/// The number of a rule's ports that a sentence lists.
const MOST_PORTS: usize = 4;
/// The number of an entry's causes that a sentence lists.
const MOST_CAUSES: usize = 3;

/// Describes the nearest rule and why it does not match: `ingress[1] matches this peer, but only on TCP 80`.
pub(crate) fn describe(mismatch: &RuleMismatch, rule: &Rule, question: &Question<'_>) -> String {
    let name = &mismatch.rule;
    let Port { protocol, number, .. } = question.port;
    let because =
        [why_not_peer(mismatch, question), why_not_port(mismatch)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let because = if because.is_empty() { because } else { format!(": {because}") };
    match mismatch.failed {
        Failed::Port => format!("{name} matches this peer, but only on {}{because}", ports(mismatch, rule)),
        Failed::Peer => format!("{name} allows {protocol} {number}, but only for {}{because}", peers(mismatch, rule)),
        Failed::PeerAndPort => {
            format!("{name}, the first, allows only {} on {}{because}", peers(mismatch, rule), ports(mismatch, rule))
        }
    }
}

/// The peers that the rule matches: the nearest entry, and the number of others.
fn peers(mismatch: &RuleMismatch, rule: &Rule) -> String {
    match (&rule.peers, mismatch.peers.first()) {
        (PeerSet::AnyOf(entries), Some(first)) => {
            let others = entries.len().saturating_sub(1);
            format!("{}{}", first.matches, or_others(others))
        }
        (peers, _) => peers.to_string(),
    }
}

fn or_others(others: usize) -> String {
    match others {
        0 => String::new(),
        1 => " (or 1 other entry)".to_owned(),
        others => format!(" (or {others} other entries)"),
    }
}

/// The ports that the rule matches; if there are many, the nearest ones.
fn ports(mismatch: &RuleMismatch, rule: &Rule) -> String {
    match &rule.ports {
        PortSet::AnyOf(entries) if entries.len() > MOST_PORTS => {
            let nearest: Vec<&str> =
                mismatch.ports.iter().take(MOST_PORTS - 1).map(|port| port.matches.as_str()).collect();
            format!("{} and {} more", nearest.join(", "), entries.len().saturating_sub(nearest.len()))
        }
        ports => ports.to_string(),
    }
}

/// Why the peer does not match; `None` if the sentence states it already.
fn why_not_peer(mismatch: &RuleMismatch, question: &Question<'_>) -> Option<String> {
    let nearest = mismatch.peers.first()?;
    if matches!(question.peer, Peer::Unresolved { .. }) && matches!(nearest.causes[..], [PeerCause::Unresolved { .. }])
    {
        return None;
    }
    Some(causes(nearest))
}

fn causes(mismatch: &PeerMismatch) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut of_pod = false;
    for cause in mismatch.causes.iter().take(MOST_CAUSES) {
        let is_of_pod = match cause {
            PeerCause::PodLabel { .. } | PeerCause::OtherNamespace { .. } => true,
            PeerCause::NamespaceLabel { key, .. } => key == NAMESPACE_NAME_LABEL,
            _ => false,
        };
        let whose = if is_of_pod && !of_pod { "the pod " } else { "" };
        of_pod = is_of_pod;
        parts.push(format!("{whose}{}", words(cause)));
    }
    let more = mismatch.causes.len().saturating_sub(MOST_CAUSES);
    if more > 0 {
        parts.push(if more == 1 { "1 more label differs".to_owned() } else { format!("{more} more labels differ") });
    }
    join(&parts)
}

/// `a, b and c`
fn join(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

fn words(cause: &PeerCause) -> String {
    match cause {
        PeerCause::OtherNamespace { namespace, .. } => format!("is in namespace {namespace}"),
        // Every namespace has this label.
        PeerCause::NamespaceLabel { namespace, key, .. } if key == NAMESPACE_NAME_LABEL => {
            format!("is in namespace {namespace}")
        }
        PeerCause::NamespaceLabel { namespace, key, found: Some(found), .. } => {
            format!("its namespace {namespace} has {key}={}", value(found))
        }
        PeerCause::NamespaceLabel { namespace, key, found: None, .. } => {
            format!("its namespace {namespace} lacks the label {key}")
        }
        PeerCause::PodLabel { key, found: Some(found), .. } => format!("has {key}={}", value(found)),
        PeerCause::PodLabel { key, found: None, .. } => format!("lacks the label {key}"),
        PeerCause::NotInBlock { ip, cidr } => format!("{ip} is not in {cidr}"),
        PeerCause::InException { ip, except } => format!("{ip} is in the exception {except}"),
        PeerCause::Outside { ip } => format!("{ip} is outside the cluster, and only an ipBlock can match it"),
        PeerCause::Node { .. } => {
            "policies see nodes and hostNetwork pods as addresses, and only an ipBlock can match one".to_owned()
        }
        PeerCause::Unresolved { ip } => format!("it is unknown which pod had {ip}"),
    }
}

/// Shows an empty value as `""`.
fn value(text: &str) -> &str {
    if text.is_empty() { "\"\"" } else { text }
}

/// Why the port does not match; `None` if the numbers in the sentence show it.
fn why_not_port(mismatch: &RuleMismatch) -> Option<String> {
    let with_peer = mismatch.failed == Failed::PeerAndPort;
    Some(match &mismatch.ports.first()?.cause {
        PortCause::OtherNumber | PortCause::OtherProtocolAndNumber { .. } if with_peer => {
            "the port differs as well".to_owned()
        }
        PortCause::OtherNumber | PortCause::OtherProtocolAndNumber { .. } => return None,
        PortCause::OtherProtocol { wanted } => format!("the protocol is not {wanted}"),
        PortCause::DeclaredWithOtherNumber { name, number } => {
            format!("the destination pod declares port {name} as {number}")
        }
        PortCause::DeclaredWithOtherProtocol { name, protocol } => {
            format!("the destination pod declares port {name} for {protocol}")
        }
        PortCause::NotDeclared { name } => format!("the destination pod declares no port {name}"),
        PortCause::NoNamedPorts { name } => {
            format!("the destination is not a pod, so the number of port {name} is unknown")
        }
    })
}
