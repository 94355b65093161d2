//! A mismatch as part of a sentence: whom the rule takes, and why that is not this peer or this port.

use crate::explain::nearest::{PeerCause, PeerMismatch, PortCause, RuleMismatch};
use crate::model::labels::NAMESPACE_NAME_LABEL;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Rule};
use crate::policy::peer::{Peer, PeerSet};
use crate::policy::port::{Port, PortSet};

/// A rule with so many ports is not told whole.
const MOST_PORTS: usize = 4;
/// Nor is an entry of which so many labels are others.
const MOST_CAUSES: usize = 3;

/// Says which rule came nearest and what of it failed: `ingress[1] takes this peer, but only on TCP 80`.
pub(crate) fn describe(mismatch: &RuleMismatch, rule: &Rule, question: &Question<'_>) -> String {
    let name = &mismatch.rule;
    let Port { protocol, number, .. } = question.port;
    let because =
        [why_not_peer(mismatch, question), why_not_port(mismatch)].into_iter().flatten().collect::<Vec<_>>().join("; ");
    let because = if because.is_empty() { because } else { format!(": {because}") };
    match mismatch.failed {
        Failed::Port => format!("{name} takes this peer, but only on {}{because}", ports(mismatch, rule)),
        Failed::Peer => format!("{name} allows {protocol} {number}, but only for {}{because}", peers(mismatch, rule)),
        Failed::PeerAndPort => {
            format!("{name}, the first, allows only {} on {}{because}", peers(mismatch, rule), ports(mismatch, rule))
        }
    }
}

/// Whom the rule takes: the nearest entry, and how many others there are.
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

/// The ports that the rule takes, or of many the nearest ones.
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

/// `None` where the sentence has said it already.
fn why_not_peer(mismatch: &RuleMismatch, question: &Question<'_>) -> Option<String> {
    let nearest = mismatch.peers.first()?;
    if matches!(question.peer, Peer::Unresolved { .. }) && matches!(nearest.causes[..], [PeerCause::Unresolved { .. }])
    {
        return None;
    }
    Some(causes(nearest))
}

fn causes(mismatch: &PeerMismatch) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut of_pod = false;
    for cause in mismatch.causes.iter().take(MOST_CAUSES) {
        let is_of_pod = match cause {
            PeerCause::PodLabel { .. } | PeerCause::OtherNamespace { .. } => true,
            PeerCause::NamespaceLabel { key, .. } => key == NAMESPACE_NAME_LABEL,
            _ => false,
        };
        let whose = if is_of_pod && !of_pod { "the pod " } else { "" };
        of_pod = is_of_pod;
        told.push(format!("{whose}{}", words(cause)));
    }
    let more = mismatch.causes.len().saturating_sub(MOST_CAUSES);
    if more > 0 {
        told.push(if more == 1 {
            "1 label more is another".to_owned()
        } else {
            format!("{more} labels more are others")
        });
    }
    join(&told)
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
        // Every namespace has this one.
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
        PeerCause::Outside { ip } => format!("{ip} is outside the cluster, and only an ipBlock could take it"),
        PeerCause::Node { .. } => {
            "nodes and hostNetwork pods are addresses to policies, and only an ipBlock could take one".to_owned()
        }
        PeerCause::Unresolved { ip } => format!("which pod had {ip} is not known"),
    }
}

/// An empty value has to be seen.
fn value(text: &str) -> &str {
    if text.is_empty() { "\"\"" } else { text }
}

/// `None` where the numbers say it.
fn why_not_port(mismatch: &RuleMismatch) -> Option<String> {
    let with_peer = mismatch.failed == Failed::PeerAndPort;
    Some(match &mismatch.ports.first()?.cause {
        PortCause::OtherNumber | PortCause::OtherProtocolAndNumber { .. } if with_peer => {
            "the port is another too".to_owned()
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
            format!("the destination is no pod, so nothing tells which number port {name} has")
        }
    })
}
