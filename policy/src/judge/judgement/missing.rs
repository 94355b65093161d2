//! What the snapshot lacks, where the answer depends on it: Pods, pods that were replaced before it was taken, Nodes.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

use crate::change::plan::{ChangeAction, Compiled, PolicyChange};
use crate::cluster::ownership::{Destination, End};
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use crate::cluster::traffic::{Class, Sighting, TrafficKey};
use crate::cluster::workload::Workload;
use crate::engine::effect::{Effect, Worlds};
use crate::judge::assessment::outside::is_local;
use crate::judge::judgement::Judgement;
use crate::policy::admin_peer::AdminPeerMatcher;
use crate::policy::peer::{PeerMatcher, PeerSet};
use crate::policy::port::Port;
use crate::report::connection::{Denial, State};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::{count, minute};

/// Most flows with unknown pods that are evaluated for workloads without traffic of their own. Beyond it they count as denied.
const MOST_EVALUATIONS: usize = 200_000;

/// The reason of a denial whose peer is an unknown pod.
const UNRESOLVED_PEER: &str = "UnresolvedPeer";

const TAKE_PODS: &str = "take the snapshot with `foretell snapshot`, which lists the Pods of all namespaces";

impl Judgement<'_> {
    /// Whether the snapshot holds no Pods at all.
    pub(super) fn lacks_pods(&self) -> bool {
        self.inputs.cluster.pods().next().is_none()
    }

    /// What the enforced part of the change depends on and the snapshot lacks.
    pub(super) fn missing(&self, denials: &[Denial]) -> Vec<UndecidedPart> {
        if self.lacks_pods() {
            return if self.may_deny() { vec![no_pods()] } else { Vec::new() };
        }
        let mut parts = self.namespaces_without_pods();
        parts.extend(self.missing_namespaces(self.before, self.after, &self.changed()));
        parts.extend(self.replaced_pods());
        parts.extend(self.unknown_peers(denials));
        parts.extend(self.missing_nodes(denials));
        parts
    }

    /// The same for a preview of an audit policy.
    pub(super) fn missing_for_preview(&self, change: &PolicyChange) -> Vec<UndecidedPart> {
        if self.lacks_pods() && can_deny(&change.compiled) { vec![no_pods()] } else { Vec::new() }
    }

    /// Whether the change may deny some pods something.
    fn may_deny(&self) -> bool {
        let mut policies = self.after.policies().map(|policy| policy.can_deny());
        let denies = policies.any(|it| it) || self.after.tiers().policies().iter().any(|policy| policy.can_deny());
        let enforced = self.plan.enforced.iter().any(|change| match change.action {
            ChangeAction::Added => can_deny(&change.compiled),
            ChangeAction::Changed | ChangeAction::Removed => denies,
        });
        enforced || (denies && !self.plan.identities.is_empty())
    }

    /// Namespaces of denying policies of which the snapshot holds no pod, although flows in use name pods of them.
    fn namespaces_without_pods(&self) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let mut parts: BTreeMap<&str, UndecidedPart> = BTreeMap::new();
        for change in self.plan.enforced.iter().filter(|change| change.action != ChangeAction::Removed) {
            let Compiled::Policy(policy) = &change.compiled else { continue };
            let Some(namespace) = policy.namespace().filter(|_| policy.can_deny()) else { continue };
            let named = self.inputs.traffic.unknown_pods().filter(|(its, _)| *its == namespace).count() as u64;
            if named == 0 || !cluster.pods_of(namespace).is_empty() {
                continue;
            }
            let part = parts.entry(namespace).or_insert_with(|| UndecidedPart {
                places: Vec::new(),
                what: format!(
                    "the snapshot holds no Pod of namespace {namespace}, and flows in use name {} of it",
                    count(named, "pod", "pods")
                ),
                fix: TAKE_PODS.to_owned(),
            });
            part.places.push(change.place.clone());
        }
        parts.into_values().collect()
    }

    /// Workloads whose recorded traffic may all be that of pods which the snapshot does not hold: none of their known pods has
    /// traffic in use, and an unknown pod has traffic that the change would deny to them. A pod that flows name belongs to the
    /// workload by its name; another one may, if its traffic is from before the workload's pods that are known.
    fn replaced_pods(&self) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let mut workloads: BTreeMap<&Workload, PodId> = BTreeMap::new();
        for pod in self.subjects() {
            workloads.entry(&cluster.pod(pod).workload).or_insert(pod);
        }
        let mut unknown: Option<UnknownSubjects<'_>> = None;
        let mut evaluations = 0;
        let mut parts = Vec::new();
        for (workload, pod) in workloads {
            let pods: HashSet<PodId> = cluster
                .pods_of(&workload.namespace)
                .iter()
                .copied()
                .filter(|pod| cluster.pod(*pod).workload == *workload)
                .collect();
            let started = pods.iter().map(|pod| cluster.pod(*pod).life.start.unwrap_or(Timestamp::MIN)).min();
            let Some(started) = started else { continue };
            let idle = Direction::BOTH.into_iter().filter(|direction| self.restricts(pod, *direction));
            let idle: Vec<Direction> = idle.filter(|direction| !self.has_traffic(&pods, *direction)).collect();
            if idle.is_empty() {
                continue;
            }
            let unknown = unknown.get_or_insert_with(|| self.unknown_subjects());
            let mut denied: BTreeSet<(Direction, Party, u16)> = BTreeSet::new();
            for direction in &idle {
                for key in unknown.of(workload, started, *direction) {
                    evaluations += 1;
                    if evaluations > MOST_EVALUATIONS || self.would_be_denied(key, *direction, pod) {
                        let peer = subject_end(key, direction.other()).unwrap_or(End::Address { ip: dialled(key) });
                        denied.insert((*direction, Party::of(&peer, cluster), key.port));
                    }
                    if evaluations > MOST_EVALUATIONS {
                        break;
                    }
                }
            }
            if !denied.is_empty() {
                parts.push(replaced(workload, started, denied.len() as u64));
            }
        }
        parts
    }

    /// Workloads that are denied connections of unknown pods which a rule may select, and that have no other traffic: whether
    /// the change denies them anything depends on which pods these are.
    fn unknown_peers(&self, denials: &[Denial]) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let mut depending: BTreeMap<(&Party, Direction), (BTreeSet<&PolicyRef>, u64)> = BTreeMap::new();
        for denial in denials.iter().filter(|denial| denial.state == State::Unresolved) {
            let may_allow = denial.policies.iter().map(|by| &by.policy);
            let may_allow: Vec<&PolicyRef> = may_allow.filter(|policy| self.may_allow_a_pod(policy, denial)).collect();
            if denial.policies.iter().all(|by| by.reason == UNRESOLVED_PEER) && !may_allow.is_empty() {
                let (policies, connections) = depending.entry((&denial.subject, denial.direction)).or_default();
                policies.extend(may_allow);
                *connections += 1;
            }
        }
        let parts = depending.into_iter().filter_map(|((subject, direction), (policies, connections))| {
            let Party::Workload { namespace, kind, name } = subject else { return None };
            let is_own = |pod: &PodId| Party::workload(&cluster.pod(*pod).workload) == *subject;
            let pods: HashSet<PodId> = cluster.pods_of(namespace).iter().copied().filter(is_own).collect();
            let is_unknown = |key: &TrafficKey| {
                subject_end(key, direction.other()).is_some_and(|peer| self.after.is_unresolved(&peer))
            };
            let all_unknown = self.own_traffic(&pods, direction).into_iter().all(is_unknown);
            let policies: Vec<String> = policies.iter().map(ToString::to_string).collect();
            all_unknown.then(|| UndecidedPart {
                places: vec![format!("{kind} {namespace}/{name}")],
                what: format!(
                    "all its connections in use ({direction}) are with pods that the snapshot does not hold, and {} may select \
                     them: {} would be denied if not",
                    policies.join(" and "),
                    count(connections, "connection", "connections")
                ),
                fix: "use a snapshot that keeps pods that are gone (`foretell snapshot --append`), or flows that are newer than \
                      the snapshot's pods"
                    .to_owned(),
            })
        });
        parts.collect()
    }

    /// Whether a rule of a policy allows some pods on the port of a denial.
    fn may_allow_a_pod(&self, policy: &PolicyRef, denial: &Denial) -> bool {
        let mut policies = self.after.policies().filter(|it| it.reference == *policy);
        let Some(policy) = policies.next() else { return false };
        policy.rules(denial.direction).iter().any(|rule| {
            let PeerSet::AnyOf(peers) = &rule.peers else { return false };
            let port = Port { protocol: denial.protocol, number: denial.port, named: &[] };
            let on_port = rule.ports.contains(&port) || rule.ports.has_names();
            on_port && peers.iter().any(|peer| matches!(peer, PeerMatcher::Pods { .. }))
        })
    }

    /// Whether a policy restricts a pod in a direction, after the change.
    fn restricts(&self, pod: PodId, direction: Direction) -> bool {
        let identity = self.after.identities().identity_id(pod);
        let selected_by_admin_policies = !self.after.tiers().selecting(identity).is_empty();
        selected_by_admin_policies || self.after.index().restricting(identity.number(), direction).next().is_some()
    }

    /// Whether these pods have traffic in use at the end that policies of a direction restrict.
    fn has_traffic(&self, pods: &HashSet<PodId>, direction: Direction) -> bool {
        !self.own_traffic(pods, direction).is_empty()
    }

    /// The traffic in use of these pods at the end that policies of a direction restrict.
    fn own_traffic(&self, pods: &HashSet<PodId>, direction: Direction) -> Vec<&TrafficKey> {
        let identities = self.after.identities();
        let services: HashSet<ServiceId> = match direction {
            Direction::Egress => HashSet::new(),
            Direction::Ingress => {
                let namespaces: BTreeSet<&str> =
                    pods.iter().map(|pod| self.inputs.cluster.pod(*pod).namespace.as_str()).collect();
                let services = namespaces.iter().flat_map(|namespace| self.inputs.cluster.services_of(namespace));
                services.copied().filter(|id| identities.targets(*id).pods().any(|pod| pods.contains(&pod))).collect()
            }
        };
        let is_own = |key: &TrafficKey| match (direction, key.dst) {
            (Direction::Ingress, Destination::Service { service, .. }) => services.contains(&service),
            _ => subject_end(key, direction).and_then(|end| end.pod()).is_some_and(|pod| pods.contains(&pod)),
        };
        let traffic = self.inputs.traffic.touching(pods, &services).into_iter();
        traffic.filter(|(key, sightings)| is_own(key) && is_in_use(sightings)).map(|(key, _)| key).collect()
    }

    /// The traffic in use that has an unknown pod at an end, by that end.
    fn unknown_subjects(&self) -> UnknownSubjects<'_> {
        let traffic = self.inputs.traffic;
        let mut found = UnknownSubjects::default();
        let unknown_end =
            |key: &TrafficKey, direction| subject_end(key, direction).filter(|end| self.after.is_unresolved(end));
        let has_one = |key: &TrafficKey| Direction::BOTH.into_iter().any(|it| unknown_end(key, it).is_some());
        for (key, sightings) in traffic.select(has_one) {
            let in_use = sightings.iter().filter(|sighting| sighting.class == Class::InUse);
            let Some(first) = in_use.map(|sighting| sighting.tally.first).min() else { continue };
            for direction in Direction::BOTH {
                let Some(end) = unknown_end(key, direction) else { continue };
                match traffic.names_at(&end) {
                    Some(names) => {
                        for (namespace, name) in names {
                            found.named.entry((direction, namespace)).or_default().push((name, key));
                        }
                    }
                    None => found.unnamed.entry(direction).or_default().push((first, key)),
                }
            }
        }
        found.unnamed.values_mut().for_each(|keys| keys.sort());
        found
    }

    /// Whether the change would deny a flow, or may, if its unknown subject were this pod.
    fn would_be_denied(&self, key: &TrafficKey, direction: Direction, pod: PodId) -> bool {
        let end = |ip| End::Pod { pod, ip };
        let key = match (direction, key.dst) {
            (Direction::Egress, _) => TrafficKey { src: end(key.src.ip()), ..*key },
            (Direction::Ingress, Destination::Direct(dst)) => {
                TrafficKey { dst: Destination::Direct(end(dst.ip())), ..*key }
            }
            (Direction::Ingress, Destination::Service { .. }) => return false,
        };
        let worlds = Worlds { before: self.before, after: self.after, at: self.inputs.at };
        let outcomes = worlds.outcomes(&key);
        outcomes.iter().any(|outcome| matches!(outcome.effect, Effect::NewlyDenied | Effect::Unknown))
    }

    /// Denials that would be none if the other end were the subject's own node, in a snapshot from which no node's address is
    /// known; and rules about nodes in such a snapshot.
    fn missing_nodes(&self, denials: &[Denial]) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        if cluster.nodes().iter().any(|(_, mut addresses)| addresses.next().is_some()) {
            return Vec::new();
        }
        let may_be_node = |party: &Party| match party {
            Party::Address { cidr, node: None } | Party::Range { cidr, .. } => is_local(cidr.addr()),
            Party::Address { .. } | Party::Workload { .. } => false,
        };
        let mut addresses: BTreeSet<&Party> = BTreeSet::new();
        let unresolved = denials.iter().filter(|denial| denial.state == State::Unresolved);
        addresses.extend(unresolved.map(|denial| &denial.peer).filter(|peer| may_be_node(peer)));
        let fix = "take the snapshot with `foretell snapshot`, which lists the Nodes, or use flows with the reports of agents";
        let mut parts = Vec::new();
        if let Some(first) = addresses.first() {
            let more = match addresses.len() as u64 - 1 {
                0 => String::new(),
                more => format!(" and {}", count(more, "more address", "more addresses")),
            };
            parts.push(UndecidedPart {
                places: vec!["snapshot".to_owned()],
                what: format!(
                    "it holds no Nodes, so it is unknown whether these are addresses of the pods' own nodes, which policies always \
                     allow: {first}{more}"
                ),
                fix: fix.to_owned(),
            });
        }
        for change in self.plan.enforced.iter().filter(|change| change.action != ChangeAction::Removed) {
            let Compiled::AdminPolicy(policy) = &change.compiled else { continue };
            let rules = Direction::BOTH.into_iter().flat_map(|direction| policy.rules(direction));
            if rules.flat_map(|rule| &rule.peers).any(|peer| matches!(peer, AdminPeerMatcher::Nodes(_))) {
                parts.push(UndecidedPart {
                    places: vec![change.place.clone()],
                    what: format!("{} has a rule about nodes, and the snapshot holds no Nodes", change.reference),
                    fix: fix.to_owned(),
                });
            }
        }
        parts
    }
}

fn no_pods() -> UndecidedPart {
    UndecidedPart {
        places: vec!["snapshot".to_owned()],
        what: "it holds no Pods, so it is unknown which pods the change concerns".to_owned(),
        fix: TAKE_PODS.to_owned(),
    }
}

fn replaced(workload: &Workload, started: Timestamp, connections: u64) -> UndecidedPart {
    let Workload { namespace, kind, name } = workload;
    let since = if started == Timestamp::MIN { String::new() } else { format!(", the first of {}", minute(started)) };
    let connections = count(connections, "connection", "connections");
    UndecidedPart {
        places: vec![format!("{kind} {namespace}/{name}")],
        what: format!(
            "the pods of it that the snapshot holds{since}, have no recorded traffic. {connections} in use of pods that the snapshot \
             does not hold may be of this workload, and the change would deny them"
        ),
        fix: "use a snapshot that keeps pods that are gone (`foretell snapshot --append`), or flows that are newer than the pods"
            .to_owned(),
    }
}

fn can_deny(compiled: &Compiled) -> bool {
    match compiled {
        Compiled::Policy(policy) => policy.can_deny(),
        Compiled::AdminPolicy(policy) => policy.can_deny(),
    }
}

/// The end that policies of a direction restrict; `None` if it is a Service.
/// Traffic in use of unknown pods.
#[derive(Default)]
struct UnknownSubjects<'a> {
    /// Of pods that flows name, by the pods' namespace, each with a name.
    named: BTreeMap<(Direction, &'a str), Vec<(&'a str, &'a TrafficKey)>>,
    /// Of other pods, each with the start of the first flow, sorted.
    unnamed: BTreeMap<Direction, Vec<(Timestamp, &'a TrafficKey)>>,
}

impl<'a> UnknownSubjects<'a> {
    /// The traffic that may be that of a workload whose first known pod started at `started`.
    fn of(
        &self,
        workload: &'a Workload,
        started: Timestamp,
        direction: Direction,
    ) -> impl Iterator<Item = &'a TrafficKey> + use<'a, '_> {
        let named = self.named.get(&(direction, workload.namespace.as_str())).into_iter().flatten();
        let named = named.filter(|(name, _)| is_pod_of(workload, name)).map(|(_, key)| *key);
        let unnamed = self.unnamed.get(&direction).into_iter().flatten();
        named.chain(unnamed.take_while(move |(first, _)| *first < started).map(|(_, key)| *key))
    }
}

fn subject_end(key: &TrafficKey, direction: Direction) -> Option<End> {
    match (direction, key.dst) {
        (Direction::Egress, _) => Some(key.src),
        (Direction::Ingress, Destination::Direct(end)) => Some(end),
        (Direction::Ingress, Destination::Service { .. }) => None,
    }
}

fn dialled(key: &TrafficKey) -> std::net::IpAddr {
    match key.dst {
        Destination::Direct(end) => end.ip(),
        Destination::Service { ip, .. } => ip,
    }
}

fn is_in_use(sightings: &[Sighting]) -> bool {
    sightings.iter().any(|sighting| sighting.class == Class::InUse)
}

/// Whether a pod of this name in a workload's namespace may belong to the workload: controllers name their pods after themselves.
fn is_pod_of(Workload { kind, name, .. }: &Workload, pod: &str) -> bool {
    let rest = pod.strip_prefix(name.as_str());
    rest.is_some_and(|rest| if kind == "Pod" { rest.is_empty() } else { rest.starts_with('-') })
}
