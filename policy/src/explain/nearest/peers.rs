//! Why the entries of a rule's `from` or `to` do not match a peer.

use std::cmp::Reverse;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::explain::nearest::{PeerCause, PeerMismatch};
use crate::policy::flow_question::Question;
use crate::policy::peer::{Namespaces, Peer, PeerMatch, PeerMatcher, PeerSet};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::{Selector, Unmet};

/// How far an entry is from matching a peer; the least is the nearest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Distance {
    /// An entry that can match this kind of peer comes before one that cannot.
    kind: u8,
    /// The number of requirements that are not met.
    unmet: usize,
    /// The number of requirements that are met.
    met: Reverse<usize>,
}

/// Every entry with its distance; empty if one of them matches the peer.
pub(super) fn mismatches(peers: &PeerSet, question: &Question<'_>) -> Vec<(Distance, PeerMismatch)> {
    let PeerSet::AnyOf(matchers) = peers else { return Vec::new() };
    if peers.matches(&question.peer, question.subject_namespace) != PeerMatch::No {
        return Vec::new();
    }
    let field = match question.direction {
        Direction::Ingress => "from",
        Direction::Egress => "to",
    };
    let entries = matchers.iter().enumerate().map(|(index, matcher)| {
        let (distance, causes) = match matcher {
            PeerMatcher::Pods { namespaces, pods, .. } => of_selectors(namespaces, pods, question),
            PeerMatcher::Block { net, except } => of_block(*net, except, question.peer.ip()),
        };
        (distance, PeerMismatch { entry: format!("{field}[{index}]"), matches: matcher.to_string(), causes })
    });
    entries.collect()
}

fn of_selectors(namespaces: &Namespaces, pods: &Selector, question: &Question<'_>) -> (Distance, Vec<PeerCause>) {
    let not_selectable = |cause| (Distance { kind: 3, unmet: 1, met: Reverse(0) }, vec![cause]);
    let Peer::Pod { namespace, namespace_labels, labels, .. } = question.peer else {
        let ip = question.peer.ip();
        return not_selectable(match question.peer {
            Peer::Node { .. } => PeerCause::Node { ip },
            Peer::Unresolved { .. } => PeerCause::Unresolved { ip },
            Peer::Outside { .. } | Peer::Pod { .. } => PeerCause::Outside { ip },
        });
    };
    let mut causes = Vec::new();
    let requirements = match namespaces {
        Namespaces::Own => {
            if namespace != question.subject_namespace {
                let (namespace, wanted) = (namespace.to_owned(), question.subject_namespace.to_owned());
                causes.push(PeerCause::OtherNamespace { namespace, wanted });
            }
            1
        }
        Namespaces::Matching(selector) => {
            causes.extend(selector.unmet(namespace_labels).map(|Unmet { key, wanted, found }| {
                PeerCause::NamespaceLabel { namespace: namespace.to_owned(), key, wanted, found }
            }));
            selector.requirements()
        }
    };
    causes.extend(pods.unmet(labels).map(|Unmet { key, wanted, found }| PeerCause::PodLabel { key, wanted, found }));
    let met = Reverse((requirements + pods.requirements()).saturating_sub(causes.len()));
    (Distance { kind: 0, unmet: causes.len(), met }, causes)
}

fn of_block(cidr: IpNet, except: &[IpNet], ip: IpAddr) -> (Distance, Vec<PeerCause>) {
    let (kind, cause) = match except.iter().find(|except| except.contains(&ip)) {
        Some(except) if cidr.contains(&ip) => (1, PeerCause::InException { ip, except: *except }),
        _ => (2, PeerCause::NotInBlock { ip, cidr }),
    };
    (Distance { kind, unmet: 1, met: Reverse(0) }, vec![cause])
}
