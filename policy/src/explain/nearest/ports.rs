//! Why the entries of a rule's `ports` do not match a port.

use crate::explain::nearest::{PortCause, PortMismatch};
use crate::policy::flow_question::Question;
use crate::policy::peer::Peer;
use crate::policy::port::{Port, PortMatcher, PortSet, Ports};
use foretell_objects::model::flow::Direction;

/// How far an entry is from matching a port; the least is the nearest.
pub(super) type Distance = u32;

/// More than the difference of any two port numbers.
const FAR: Distance = 1 << 16;

/// Every entry with its distance; empty if one of them matches the port.
pub(super) fn mismatches(ports: &PortSet, question: &Question<'_>) -> Vec<(Distance, PortMismatch)> {
    let PortSet::AnyOf(matchers) = ports else { return Vec::new() };
    if ports.contains(&question.port) {
        return Vec::new();
    }
    let entries = matchers.iter().enumerate().map(|(index, matcher)| {
        let (distance, cause) = cause(matcher, question);
        (distance, PortMismatch { entry: format!("ports[{index}]"), matches: matcher.to_string(), cause })
    });
    entries.collect()
}

fn cause(matcher: &PortMatcher, question: &Question<'_>) -> (Distance, PortCause) {
    let Port { protocol, number, .. } = question.port;
    let wanted = matcher.protocol;
    let away = match &matcher.ports {
        Ports::Named(name) => return cause_of_name(name, matcher, question),
        Ports::All => 0,
        Ports::Range(first, last) => first.saturating_sub(number).max(number.saturating_sub(*last)),
    };
    match (wanted == protocol, away) {
        (false, 0) => (0, PortCause::OtherProtocol { wanted }),
        (true, away) => (Distance::from(away), PortCause::OtherNumber),
        (false, away) => (FAR + Distance::from(away), PortCause::OtherProtocolAndNumber { wanted }),
    }
}

/// A named port is looked up at the destination. For ingress that is the subject, which is a pod.
fn cause_of_name(name: &str, matcher: &PortMatcher, question: &Question<'_>) -> (Distance, PortCause) {
    let name = name.to_owned();
    let is_pod = question.direction == Direction::Ingress || matches!(question.peer, Peer::Pod { .. });
    if !is_pod {
        return (FAR, PortCause::NoNamedPorts { name });
    }
    let Port { number, named, .. } = question.port;
    let declared = || named.iter().filter(|port| port.name == name);
    let of_protocol = || declared().filter(|port| port.protocol == matcher.protocol);
    let nearest = of_protocol().find(|port| port.number == number).or(of_protocol().next()).or(declared().next());
    match nearest {
        None => (FAR, PortCause::NotDeclared { name }),
        Some(port) if port.protocol != matcher.protocol => {
            (FAR, PortCause::DeclaredWithOtherProtocol { name, protocol: port.protocol })
        }
        Some(port) if port.number == number => (0, PortCause::OtherProtocol { wanted: matcher.protocol }),
        Some(port) => (
            Distance::from(port.number.abs_diff(number)),
            PortCause::DeclaredWithOtherNumber { name, number: port.number },
        ),
    }
}
