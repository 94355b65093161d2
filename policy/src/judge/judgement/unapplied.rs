//! Parts of a change that the worlds cannot contain, or contain in part, as parts of the report that could not be evaluated.
//!
//! Every field that is compared between two revisions (`relevant_fields`) is applied to the worlds, or is here, or cannot matter:
//!
//! | field | what a change of it does |
//! |---|---|
//! | labels and named ports of a pod template or a Pod | applied to the pods: [`Identities::overlaid`](crate::engine::identities::Identities::overlaid) |
//! | `hostNetwork`, to `true` | applied: the pods are the addresses of the nodes that they run on. Where the answer holds only as long as they run there: here |
//! | `hostNetwork`, to `false` | here: the traffic of the pods was recorded as that of their nodes |
//! | `nodeName` of a Pod | here, where a connection is allowed because it stays on the pod's node |
//! | templates of other kinds | applied if there is one and its pods are known, otherwise here |
//! | labels of a Namespace | applied |
//! | labels of a Node | here, if rules of admin policies select nodes by them |
//! | ranges and addresses of a Node | cannot matter: its kubelet and controllers write them, whatever a manifest says. A note says so |
//! | selector and ports of a Service; EndpointSlices and Endpoints of a Service without a selector | applied |
//! | other fields of a Service | see [`services`] |

use std::collections::{BTreeMap, BTreeSet, HashSet};

use serde_json::Value;

use crate::change::plan::{ChangeAction, CustomChange};
use crate::cluster::ownership::{Destination, End};
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::cluster::traffic::{Class, Sighting, TrafficKey};
use crate::cluster::workload::Workload;
use crate::engine::effect::{FlowEffect, Worlds};
use crate::engine::end_decision::{EndDecision, Permission};
use crate::engine::identities::unspecified;
use crate::engine::pair::{Dialled, Pair};
use crate::engine::verdict::Exemption;
use crate::engine::world::World;
use crate::judge::judgement::Judgement;
use crate::judge::judgement::unapplied::selected_words::SelectedWords;
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::words::count;
use foretell_objects::resource::custom_workload::CustomWorkload;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::reads::pod::PodFields;

mod selected_words;
mod services;

/// Connections in use about which a change is undecided, for one object.
#[derive(Default)]
struct Doubtful {
    connections: BTreeSet<String>,
}

impl Doubtful {
    /// `web in shop → cart in shop TCP 8080, and 2 more`.
    fn text(&self) -> Option<String> {
        let first = self.connections.first()?;
        Some(match self.connections.len() as u64 - 1 {
            0 => first.clone(),
            more => format!("{first} (and {})", count(more, "more connection", "more connections")),
        })
    }
}

impl Judgement<'_> {
    /// What the worlds do not contain and a policy may decide by. Without policies nothing can.
    pub(super) fn unapplied(&self, notes: &mut Vec<String>) -> Vec<UndecidedPart> {
        if !has_policies(self.before) && !has_policies(self.after) {
            return Vec::new();
        }
        let words = SelectedWords::of(self.objects());
        let custom = self.plan.custom.iter().filter_map(|change| self.unapplied_custom(change, &words));
        let mut parts: Vec<UndecidedPart> = custom.collect();
        parts.extend(self.unplaced());
        parts.extend(self.leaves_host_network());
        parts.extend(self.moved_pods());
        parts.extend(self.relabelled_nodes(&words));
        parts.extend(self.unapplied_services());
        notes.extend(self.without_pods(&words));
        parts
    }

    /// The objects by which policies and Services select, in the cluster and in both revisions.
    fn objects(&self) -> impl Iterator<Item = &Object> {
        let change = self.inputs.change;
        let of_change = change.before.iter().chain(&change.after).map(|sourced| &sourced.object);
        self.inputs.snapshot.iter().chain(of_change)
    }

    /// The pods of a workload, or of workloads that it owns, running or gone.
    pub(super) fn pods_of(&self, workload: &Workload) -> HashSet<PodId> {
        let pods = self.inputs.cluster.pods();
        pods.filter(|(_, pod)| pod.workload == *workload || pod.managers.contains(workload)).map(|(id, _)| id).collect()
    }

    /// A change of an object of another kind that cannot be applied to its pods.
    fn unapplied_custom(&self, change: &CustomChange, words: &SelectedWords) -> Option<UndecidedPart> {
        // The pods of a removed object keep their identities: see `removed`.
        let after = change.after.as_ref()?;
        let CustomWorkload { kind, namespace, name, .. } = &after.workload;
        let owner = Workload { namespace: namespace.clone(), kind: kind.clone(), name: name.clone() };
        let has_pods = !self.pods_of(&owner).is_empty();
        // A new object without pods has had no traffic.
        let before = match &change.before {
            Some(before) => Some(&before.workload),
            None if has_pods => None,
            None => return None,
        };
        let title = after.workload.title();
        let (what, fix) = unapplied_fields(before, &after.workload, has_pods, words)?;
        Some(UndecidedPart {
            places: vec![after.place.to_string()],
            what: format!("the change touches {title}: {what}"),
            fix: fix.to_owned(),
        })
    }

    /// Workloads of the kinds of Kubernetes that change and have no pods: nothing was recorded that the change could deny.
    fn without_pods(&self, words: &SelectedWords) -> Vec<String> {
        let changed = self.plan.identities.iter().filter(|change| change.action == ChangeAction::Changed);
        let is_workload = |kind: &str| Kind::ALL.into_iter().any(|known| known.is_workload() && known.name() == kind);
        let changed = changed.filter(|change| is_workload(&change.kind));
        let silent = changed.filter_map(|change| {
            let workload =
                Workload { namespace: change.namespace.clone(), kind: change.kind.clone(), name: change.name.clone() };
            let (was, is) = (self.plan.base.templates.get(&workload)?, self.plan.head.templates.get(&workload)?);
            let differs = words.distinguish_templates(was, is);
            let is_used = self.inputs.change.custom_after.iter().any(|it| {
                let it = &it.workload;
                let used = it.workload_ref.as_ref();
                it.namespace == workload.namespace
                    && used.is_some_and(|used| used.kind == workload.kind && used.name == workload.name)
            });
            let title = change.title();
            (differs && !is_used && self.pods_of(&workload).is_empty())
                .then(|| format!("{title} has no pod in the snapshot, so no traffic shows what its change denies"))
        });
        silent.collect()
    }

    /// Pods that move to their node's network are judged at the node that they ran on. A Deployment's pods may be scheduled to any
    /// node, and a connection may be allowed only because it stays on one. A `DaemonSet` runs on each node, so its pods stay.
    fn unplaced(&self) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let is_moved = |pod: &PodId| {
            let is_host = |world: &World<'_>| world.identities().identity(*pod).host_network;
            !cluster.pod(*pod).host_network && is_host(self.after) && cluster.pod(*pod).workload.kind != "DaemonSet"
        };
        let relocated: HashSet<PodId> = cluster.pods().map(|(id, _)| id).filter(is_moved).collect();
        if relocated.is_empty() {
            return Vec::new();
        }
        let mut doubtful: BTreeMap<&Workload, Doubtful> = BTreeMap::new();
        for (_, outcome) in self.outcomes_of(&relocated) {
            let pair = outcome.pair;
            for (end, is_src) in [(pair.src, true), (pair.dst, false)] {
                let Some(pod) = end.pod().filter(|pod| relocated.contains(pod)) else { continue };
                let elsewhere = cluster.nodes().ids().filter(|node| Some(*node) != cluster.pod(pod).node);
                let denied = elsewhere.filter_map(|node| {
                    let ip = cluster.nodes().address(node, end.ip().is_ipv4())?;
                    let there = End::Host { node: Some(node), ip };
                    Some(if is_src { Pair { src: there, ..pair } } else { Pair { dst: there, ..pair } })
                });
                if passes(self.after, &pair) && denied.into_iter().any(|there| !passes(self.after, &there)) {
                    let workload = &cluster.pod(pod).workload;
                    doubtful.entry(workload).or_default().connections.insert(self.connection(&pair));
                }
            }
        }
        let parts = doubtful.iter().filter_map(|(workload, doubtful)| {
            Some(UndecidedPart {
                places: vec![self.place_of_workload(workload)],
                what: format!(
                    "{} moves to the network of its nodes, so policies see the address of the node that it runs on, and from \
                     another node they would deny {}",
                    title(workload),
                    doubtful.text()?
                ),
                fix: "allow the addresses of the nodes in the policy, or review the connections and merge it manually".to_owned(),
            })
        });
        parts.collect()
    }

    /// Pods that leave the network of their node get an address of their own, and policies select them. What was recorded of them is
    /// their node's traffic, which is that of the kubelet and of other hostNetwork pods too.
    fn leaves_host_network(&self) -> Vec<UndecidedPart> {
        let cluster = self.inputs.cluster;
        let mut leaving: BTreeMap<&Workload, Vec<PodId>> = BTreeMap::new();
        for (id, pod) in cluster.pods() {
            if pod.host_network
                && pod.life.contains(self.inputs.at)
                && !self.after.identities().identity(id).host_network
            {
                leaving.entry(&pod.workload).or_default().push(id);
            }
        }
        let parts = leaving.iter().filter_map(|(workload, pods)| {
            let selecting = pods.iter().find_map(|pod| self.restricting(*pod));
            let reason = match selecting {
                Some(policy) => format!("{policy} selects its pods from then on"),
                None => format!("a policy would deny {}", self.denied_as_pods(pods).text()?),
            };
            Some(UndecidedPart {
                places: vec![self.place_of_workload(workload)],
                what: format!(
                    "{} leaves the network of its nodes, its traffic was recorded as that of its nodes, and {reason}",
                    title(workload)
                ),
                fix: "review the connections of its pods and merge it manually".to_owned(),
            })
        });
        parts.collect()
    }

    /// A policy that restricts a pod after the change.
    fn restricting(&self, pod: PodId) -> Option<String> {
        let (world, identity) = (self.after, self.after.identities().identity_id(pod));
        let mut policies =
            Direction::BOTH.into_iter().flat_map(|direction| world.index().restricting(identity.number(), direction));
        let ruling =
            || world.tiers().selecting(identity).first().map(|id| world.tiers().policy(*id).reference.to_string());
        policies.next().map(|id| world.policy(id).reference.to_string()).or_else(ruling)
    }

    /// The connections in use of the nodes of these pods that would be denied if they were the pods'.
    fn denied_as_pods(&self, pods: &[PodId]) -> Doubtful {
        let cluster = self.inputs.cluster;
        let nodes: BTreeMap<_, PodId> = pods.iter().filter_map(|pod| Some((cluster.pod(*pod).node?, *pod))).collect();
        let as_pod = |end: &End| {
            let pod = match *end {
                End::Host { node: Some(node), .. } => nodes.get(&node),
                End::Host { ip, .. } | End::Address { ip } => {
                    cluster.nodes().by_address(ip).iter().find_map(|node| nodes.get(node))
                }
                End::Pod { .. } | End::UnknownPod { .. } => None,
            };
            pod.map(|pod| End::Pod { pod: *pod, ip: unspecified(end.ip()) })
        };
        let mut doubtful = Doubtful::default();
        for (key, sightings) in self.inputs.traffic.select(|_| true) {
            let Destination::Direct(dst) = key.dst else { continue };
            let replaced = [as_pod(&key.src), as_pod(&dst)];
            if !is_in_use(sightings) || replaced == [None, None] {
                continue;
            }
            let was = direct(key, dst);
            let is = Pair { src: replaced[0].unwrap_or(was.src), dst: replaced[1].unwrap_or(was.dst), ..was };
            if passes(self.before, &was) && !passes(self.after, &is) {
                doubtful.connections.insert(self.connection(&was));
            }
        }
        doubtful
    }

    /// A Pod that is bound to another node is made anew there. Connections within its node are always allowed, those from another
    /// node are not.
    fn moved_pods(&self) -> Vec<UndecidedPart> {
        let change = self.inputs.change;
        let node_name = |object: &Object| match object {
            Object::Pod(pod) => pod.spec.as_ref().and_then(|spec| spec.node_name.clone()),
            _ => None,
        };
        let mut parts = Vec::new();
        for after in &change.after {
            let id = after.object.id();
            let before = change.before.iter().find(|before| id.kind == Kind::Pod && before.object.id() == id);
            let Some(before) = before.filter(|before| node_name(&before.object) != node_name(&after.object)) else {
                continue;
            };
            let pods = self.inputs.cluster.pods_by_name(&id.namespace, &id.name).iter().copied().collect();
            let mut doubtful = Doubtful::default();
            for (_, outcome) in self.outcomes_of(&pods) {
                let is_local = |decision: &EndDecision| matches!(decision, EndDecision::Exempt(Exemption::Node));
                if Direction::BOTH.iter().any(|direction| is_local(&outcome.at(*direction).after)) {
                    doubtful.connections.insert(self.connection(&outcome.pair));
                }
            }
            let Some(connections) = doubtful.text() else { continue };
            parts.push(UndecidedPart {
                places: vec![before.place.to_string()],
                what: format!("the change moves {id} to another node, and {connections} is allowed within one node"),
                fix: "allow the connection in the policy, or review it and merge it manually".to_owned(),
            });
        }
        parts
    }

    /// Rules of admin policies may select nodes by their labels, and nodes count as they are in the cluster.
    fn relabelled_nodes(&self, words: &SelectedWords) -> Vec<UndecidedPart> {
        let change = self.inputs.change;
        let nodes = change.after.iter().filter(|sourced| matches!(sourced.object, Object::Node(_)));
        let labels = |object: &Object| object.metadata().labels.clone().unwrap_or_default();
        let parts = nodes.filter_map(|after| {
            let id = after.object.id();
            let before = change.before.iter().find(|before| before.object.id() == id)?;
            let (was, is) = (labels(&before.object), labels(&after.object));
            (words.select_nodes && words.distinguish_labels(&was, &is)).then(|| UndecidedPart {
                places: vec![after.place.to_string()],
                what: format!("the change relabels {id}, and rules of admin policies select nodes by their labels"),
                fix: "label the node in the cluster first, take a new snapshot, and run the check again".to_owned(),
            })
        });
        parts.collect()
    }

    /// The effects on the traffic in use of these pods.
    fn outcomes_of(&self, pods: &HashSet<PodId>) -> Vec<(&TrafficKey, FlowEffect)> {
        self.outcomes_between(self.before, self.after, pods)
    }

    /// The effects between two worlds on the traffic in use of these pods.
    pub(super) fn outcomes_between(
        &self,
        before: &World<'_>,
        after: &World<'_>,
        pods: &HashSet<PodId>,
    ) -> Vec<(&TrafficKey, FlowEffect)> {
        let services = self.inputs.cluster.services().map(|(id, _)| id);
        let leads = |pods: &HashSet<PodId>, id| {
            let mut behind = [before, after].into_iter().flat_map(|world| world.identities().targets(id).pods());
            behind.any(|pod| pods.contains(&pod))
        };
        let services = services.filter(|id| leads(pods, *id)).collect();
        let worlds = Worlds { before, after, at: self.inputs.at };
        let keys = self.inputs.traffic.touching(pods, &services);
        let keys = keys.into_iter().filter(|(_, sightings)| is_in_use(sightings));
        keys.flat_map(|(key, _)| worlds.outcomes(key).into_iter().map(move |outcome| (key, outcome))).collect()
    }

    pub(super) fn connection(&self, pair: &Pair) -> String {
        let party = |end: &End| Party::of(end, self.inputs.cluster);
        format!("{} → {} {} {}", party(&pair.src), party(&pair.dst), pair.protocol, pair.port)
    }

    fn place_of_workload(&self, workload: &Workload) -> String {
        let Workload { namespace, kind, name } = workload;
        let mut changes = self.plan.identities.iter();
        let change = changes.find(|it| it.namespace == *namespace && it.kind == *kind && it.name == *name);
        change.map_or_else(|| title(workload), |change| change.place.clone())
    }
}

fn has_policies(world: &World<'_>) -> bool {
    world.policies().next().is_some() || !world.tiers().policies().is_empty()
}

/// Kind, namespace and name: `Deployment shop/web`.
pub(super) fn title(workload: &Workload) -> String {
    let Workload { namespace, kind, name } = workload;
    format!("{kind} {namespace}/{name}")
}

pub(super) fn is_in_use(sightings: &[Sighting]) -> bool {
    sightings.iter().any(|sighting| sighting.class == Class::InUse)
}

/// The flow of a key to an end that is no Service.
fn direct(key: &TrafficKey, dst: End) -> Pair {
    let dialled = Dialled::at(&key.dst, key.port);
    Pair { src: key.src, dst, protocol: key.protocol, port: key.port, dialled }
}

/// Whether a flow is surely allowed at both ends.
pub(super) fn passes(world: &World<'_>, pair: &Pair) -> bool {
    Direction::BOTH.into_iter().all(|direction| world.decide(pair, direction).permission() == Permission::Allowed)
}

/// The first field that cannot be applied to the pods, and how to fix that.
fn unapplied_fields(
    before: Option<&CustomWorkload>,
    after: &CustomWorkload,
    has_pods: bool,
    words: &SelectedWords,
) -> Option<(String, &'static str)> {
    let no_templates = BTreeMap::new();
    let old = before.map_or(&no_templates, |before| &before.templates);
    let paths: BTreeSet<&String> = old.keys().chain(after.templates.keys()).collect();
    let none = PodFields::default();
    let differing = paths.into_iter().find(|path| {
        let (was, is) = (old.get(*path).unwrap_or(&none), after.templates.get(*path).unwrap_or(&none));
        words.distinguish(was, is)
    });
    let is_single = after.templates.len() == 1 && before.is_none_or(|before| before.templates.len() == 1);
    if let Some(path) = differing {
        if !is_single {
            return Some((
                format!("{path} is one of several pod templates, and which of its pods are made of it is unknown"),
                "review the labels, ports and hostNetwork of its pods, and merge it manually",
            ));
        }
        if !has_pods {
            return Some((
                format!("{path} defines pods, and no pod in the snapshot is known to be made of it"),
                "use a snapshot that contains its pods with their ownerReferences and those of their owners, or review the \
                 labels, ports and hostNetwork of its pods and merge it manually",
            ));
        }
    }
    let fields = |list: fn(&CustomWorkload) -> &BTreeMap<String, Value>| {
        let (was, is) = (before.map(list), list(after));
        let paths: BTreeSet<&String> = was.into_iter().flat_map(BTreeMap::keys).chain(is.keys()).collect();
        let found =
            paths.into_iter().find(|path| words.distinguish_values(was.and_then(|was| was.get(*path)), is.get(*path)));
        found.cloned()
    };
    let wrapped = fields(|workload| &workload.wrapped);
    let path = wrapped.or_else(|| fields(|workload| &workload.perhaps).filter(|_| has_pods));
    if let Some(path) = path {
        return Some((
            format!("{path} may become labels, ports or the network of pods, and how is unknown"),
            "render what its controller makes of it, or review the labels of its pods and merge it manually",
        ));
    }
    if before.is_some_and(|before| before.workload_ref != after.workload_ref) {
        return Some((
            "it uses the pod template of another workload".to_owned(),
            "review the labels, ports and hostNetwork of its pods, and merge it manually",
        ));
    }
    None
}
