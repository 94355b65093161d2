//! Namespaces that the snapshot lacks, where a policy asks for their labels.
//!
//! Every namespace has its name as a label, which the API server sets. Its other labels are unknown without the object.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::change::plan::Plan;
use crate::cluster::inventory::Cluster;
use crate::cluster::party::{Party, from_to};
use crate::cluster::pod::PodId;
use crate::cluster::traffic::Class;
use crate::engine::effect::{Effect, Worlds};
use crate::engine::pair::Pair;
use crate::engine::world::World;
use crate::judge::judgement::Judgement;
use crate::policy::admin_peer::AdminPeerMatcher;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Policy, Restriction, Rule};
use crate::policy::peer::{Namespaces, Peer, PeerMatch, PeerMatcher, PeerSet};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::labels::{Labels, NAMESPACE_NAME_LABEL, Selector};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;

/// Whether a rule matches a peer whose namespace has unknown labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Match {
    No,
    Perhaps,
    Surely,
}

type Connections = BTreeSet<(Party, Party, Protocol, u16)>;

impl Judgement<'_> {
    /// One part for each missing namespace and policy on which the decision about a connection in use depends. `changed` are the
    /// policies that differ between the worlds.
    pub(super) fn missing_namespaces(
        &self,
        before: &World<'_>,
        after: &World<'_>,
        changed: &BTreeSet<PolicyRef>,
    ) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let pods = &self.in_missing_namespaces;
        if pods.is_empty() || !asks_for_labels(after) {
            return Vec::new();
        }
        let worlds = Worlds { before, after, at: self.inputs.at };
        let services = cluster.services().map(|(id, _)| id);
        let services = services.filter(|id| after.identities().targets(*id).pods().any(|pod| pods.contains(&pod)));
        let mut depending: BTreeMap<(String, PolicyRef), Connections> = BTreeMap::new();
        for (key, sightings) in self.inputs.traffic.touching(pods, &services.collect()) {
            if !sightings.iter().any(|sighting| sighting.class == Class::InUse) {
                continue;
            }
            for outcome in worlds.outcomes(key) {
                let pair = &outcome.pair;
                for direction in Direction::BOTH {
                    let namespace_of = |pod: Option<PodId>| {
                        pod.filter(|pod| pods.contains(pod)).map(|pod| cluster.pod(pod).namespace.as_str())
                    };
                    let peer = namespace_of(pair.peer(direction).pod());
                    let subject = namespace_of(pair.subject(direction).pod());
                    let by_peer = peer.and_then(|namespace| {
                        Some((namespace, deciding(after, pair, direction, outcome.effect, changed)?))
                    });
                    let by_subject =
                        subject.and_then(|namespace| Some((namespace, selecting(after, pair, direction, changed)?)));
                    for (namespace, policy) in by_peer.into_iter().chain(by_subject) {
                        let subject = Party::of(pair.subject(direction), cluster);
                        let peer = Party::of(pair.peer(direction), cluster);
                        let (from, to) = from_to(direction, &subject, &peer);
                        let connection = (from.clone(), to.clone(), pair.protocol, pair.port);
                        depending.entry((namespace.to_owned(), policy)).or_default().insert(connection);
                    }
                }
            }
        }
        let parts = depending.into_iter().map(|((namespace, policy), connections)| {
            let (connections, depend) = match connections.len() as u64 {
                1 => ("1 connection".to_owned(), "depends"),
                more => (count(more, "connection", "connections"), "depend"),
            };
            UndecidedPart {
                places: vec![self.place_of(&policy)],
                what: format!(
                    "{policy} asks for labels of namespace {namespace}, and the snapshot holds no such Namespace. {connections} in use \
                     {depend} on them"
                ),
                fix: "take the snapshot with `foretell snapshot`, which lists the Namespaces".to_owned(),
            }
        });
        parts.collect()
    }
}

/// The pods in namespaces that neither the snapshot nor the change holds.
pub(super) fn pods_in_missing_namespaces(cluster: &Cluster, plan: &Plan) -> HashSet<PodId> {
    let is_known = |name: &str| cluster.namespaces().contains_key(name) || plan.head.namespaces.contains_key(name);
    cluster.pods().filter(|(_, pod)| !is_known(&pod.namespace)).map(|(id, _)| id).collect()
}

/// Whether a policy asks for labels of namespaces other than their names.
fn asks_for_labels(world: &World<'_>) -> bool {
    let rules = |policy: &Policy| {
        let mut rules = Direction::BOTH.into_iter().flat_map(|direction| policy.rules(direction));
        rules.any(|rule| match &rule.peers {
            PeerSet::Everyone => false,
            PeerSet::AnyOf(matchers) => matchers.iter().any(|matcher| match matcher {
                PeerMatcher::Pods { namespaces: Namespaces::Matching(selector), .. } => asks(selector),
                PeerMatcher::Pods { .. } | PeerMatcher::Block { .. } => false,
            }),
        })
    };
    world.policies().any(|policy| policy.namespaces().is_some_and(asks) || rules(policy))
        || world.tiers().policies().iter().any(|policy| {
            asks(policy.subject().namespaces())
                || Direction::BOTH.into_iter().any(|direction| asks_for_peers(policy, direction))
        })
}

fn asks_for_peers(policy: &AdminPolicy, direction: Direction) -> bool {
    let mut peers = policy.rules(direction).iter().flat_map(|rule| &rule.peers);
    peers.any(|peer| matches!(peer, AdminPeerMatcher::Pods(pods) if asks(pods.namespaces())))
}

fn asks(selector: &Selector) -> bool {
    selector.keys().any(|key| key != NAMESPACE_NAME_LABEL)
}

/// The policy by which the decision at an end depends on the labels of the peer's namespace.
fn deciding(
    world: &World<'_>,
    pair: &Pair,
    direction: Direction,
    effect: Effect,
    changed: &BTreeSet<PolicyRef>,
) -> Option<PolicyRef> {
    let question = world.question(pair, direction);
    let applying: Vec<&Policy> = world.verdicts(pair, direction).map(|(id, _)| world.policy(id)).collect();
    let is_changed = |policy: &&Policy| changed.contains(&policy.reference);
    let matched = |policy: &Policy| policy.rules(direction).iter().map(|rule| matches(rule, &question)).max();
    let perhaps = || applying.iter().find(|policy| matched(policy) == Some(Match::Perhaps));
    let by_rules = match effect {
        Effect::NewlyDenied => perhaps(),
        // The change cannot be the reason if none of its policies restricts this end.
        Effect::StillAllowed | Effect::NewlyAllowed if applying.iter().any(is_changed) => {
            let is_sure = applying.iter().any(|policy| matched(policy) == Some(Match::Surely));
            perhaps().filter(|_| !is_sure)
        }
        _ => None,
    };
    let by_rules = by_rules.map(|policy| policy.reference.clone());
    by_rules.or_else(|| {
        let subject = world.identities().identity_id(pair.subject(direction).pod()?);
        let selecting = world.tiers().selecting(subject).iter().map(|id| world.tiers().policy(*id));
        let mut relevant =
            selecting.filter(|policy| changed.contains(&policy.reference) && asks_for_peers(policy, direction));
        relevant.next().map(|policy| policy.reference.clone())
    })
}

/// The changed policy that may select the subject, or may not, by labels of its namespace.
fn selecting(world: &World<'_>, pair: &Pair, direction: Direction, changed: &BTreeSet<PolicyRef>) -> Option<PolicyRef> {
    let identity = world.identities().identity(pair.subject(direction).pod()?);
    let labels = world.identities().namespace_labels(&identity.namespace);
    let perhaps = |selector: &Selector| asks(selector) && may_match(selector, labels);
    let policies = world.policies().filter(|policy| {
        policy.namespaces().is_some_and(perhaps)
            && policy.pods().matches(&identity.labels)
            && *policy.restriction(direction) != Restriction::None
    });
    let admin_policies = world.tiers().policies().iter().filter(|policy| {
        perhaps(policy.subject().namespaces())
            && policy.subject().pods().matches(&identity.labels)
            && !policy.rules(direction).is_empty()
    });
    let references = policies.map(|policy| &policy.reference).chain(admin_policies.map(|policy| &policy.reference));
    references.filter(|reference| changed.contains(reference)).min().cloned()
}

/// Whether a rule matches a peer of whose namespace only the name is known.
fn matches(rule: &Rule, question: &Question<'_>) -> Match {
    if !rule.ports.contains(&question.port) {
        return Match::No;
    }
    let PeerSet::AnyOf(matchers) = &rule.peers else { return Match::Surely };
    let each = matchers.iter().map(|matcher| {
        let (
            PeerMatcher::Pods { namespaces: Namespaces::Matching(selector), pods, .. },
            Peer::Pod { namespace_labels, labels, .. },
        ) = (matcher, &question.peer)
        else {
            let alone = PeerSet::AnyOf(vec![matcher.clone()]);
            let found = alone.matches(&question.peer, question.subject_namespace);
            return if found == PeerMatch::No { Match::No } else { Match::Surely };
        };
        if !pods.matches(labels) || !may_match(selector, namespace_labels) {
            Match::No
        } else if asks(selector) {
            Match::Perhaps
        } else {
            Match::Surely
        }
    });
    each.max().unwrap_or(Match::No)
}

/// Whether a selector matches a namespace if its unknown labels are right.
fn may_match(selector: &Selector, known: &Labels) -> bool {
    selector.unmet(known).all(|unmet| unmet.key != NAMESPACE_NAME_LABEL)
}
