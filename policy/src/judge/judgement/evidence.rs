//! The pods that a change affects, and how their nodes were watched.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::{ChangeAction, Compiled, PolicyChange};
use crate::cluster::evidence::NodeWatch;
use crate::cluster::ownership::Destination;
use crate::cluster::pod::PodId;
use crate::engine::world::World;
use crate::judge::judgement::{Inputs, Judgement};
use crate::report::data::{Evidence, NodeEvidence, SecondaryNetworks, TimeSpan};

impl Judgement<'_> {
    /// The running pods that a changed policy selects; if it is removed, those that it selected.
    pub(super) fn selected(&self, change: &PolicyChange) -> BTreeSet<PodId> {
        let world = if change.action == ChangeAction::Removed { self.before } else { self.after };
        self.running().filter(|pod| selects(world, &change.compiled, *pod)).collect()
    }

    /// The running pods that a policy selects after the change.
    pub(super) fn selected_by(&self, policy: &Compiled) -> Vec<PodId> {
        self.running().filter(|pod| selects(self.after, policy, *pod)).collect()
    }

    fn running(&self) -> impl Iterator<Item = PodId> {
        let (cluster, at) = (self.inputs.cluster, self.inputs.at);
        cluster.pods().filter(move |(_, pod)| !pod.host_network && pod.life.contains(at)).map(|(id, _)| id)
    }

    /// The running pods that the enforced part of the change affects: those that its policies select or selected and, if there are
    /// policies at all, those that selectors see differently.
    pub(super) fn subjects(&self) -> BTreeSet<PodId> {
        let mut subjects: BTreeSet<PodId> =
            self.plan.enforced.iter().flat_map(|change| self.selected(change)).collect();
        let has_policies =
            |world: &World<'_>| world.policies().next().is_some() || !world.tiers().policies().is_empty();
        if has_policies(self.before) || has_policies(self.after) {
            let (old, new) = (self.before.identities(), self.after.identities());
            let differs = |pod: &PodId| {
                let (was, is) = (old.identity(*pod), new.identity(*pod));
                was != is || old.namespace_labels(&was.namespace) != new.namespace_labels(&is.namespace)
            };
            subjects.extend(self.running().filter(differs));
        }
        for change in self.plan.enforced.iter().filter(|change| change.action == ChangeAction::Changed) {
            // The policy may have allowed traffic of pods that it no longer selects.
            let policies = self.before.policies().cloned().map(Compiled::Policy);
            let admin_policies = self.before.tiers().policies().iter().cloned().map(Compiled::AdminPolicy);
            let mut policies = policies.chain(admin_policies);
            if let Some(old) = policies.find(|policy| *policy.reference() == change.reference) {
                subjects.extend(self.running().filter(|pod| selects(self.before, &old, *pod)));
            }
        }
        subjects
    }

    pub(super) fn evidence(&self) -> Evidence {
        let Inputs { cluster, traffic, watch, .. } = *self.inputs;
        let mut subjects_by_node: BTreeMap<&str, u64> = BTreeMap::new();
        let subjects = self.subjects();
        for pod in &subjects {
            if let Some(node) = cluster.pod(*pod).node {
                *subjects_by_node.entry(cluster.node_name(node)).or_default() += 1;
            }
        }
        let names: BTreeSet<&str> =
            watch.nodes().keys().map(String::as_str).chain(subjects_by_node.keys().copied()).collect();
        let nodes = names.into_iter().map(|name| {
            let watched = watch.nodes().get(name).filter(|_| watch.watched_since(name, self.inputs.from));
            NodeEvidence {
                node: name.to_owned(),
                subjects: subjects_by_node.get(name).copied().unwrap_or_default(),
                since: watched.and_then(NodeWatch::since),
                until: watched.and_then(NodeWatch::until),
                watched_seconds: watched.map_or(0, |watched| watched.watched().as_secs()),
                gaps: watched.map_or(0, |watched| watched.gaps() as u64),
                lost: watched.map(|watched| watched.lost.clone()).unwrap_or_default(),
            }
        });
        let unresolved = traffic.select(|key| {
            let dst = match key.dst {
                Destination::Direct(end) => Some(end),
                Destination::Service { .. } => None,
            };
            [Some(key.src), dst].into_iter().flatten().any(|end| self.after.is_unresolved(&end))
        });
        let secondary_networks = match traffic.on_secondary_networks() as u64 {
            0 => None,
            connections => {
                Some(SecondaryNetworks { names: traffic.secondary_networks().iter().cloned().collect(), connections })
            }
        };
        Evidence {
            known: !watch.is_unknown(),
            from: self.inputs.from,
            to: self.inputs.at,
            minimum_seconds: self.inputs.min_window.map(|window| window.as_secs()),
            flows: traffic.flows(),
            flows_outside_window: traffic.outside_window(),
            outside_window: traffic.outside_span().map(|(from, to)| TimeSpan { from, to }),
            secondary_networks,
            bad_lines: self.inputs.bad_lines,
            connections: traffic.distinct() as u64,
            unresolved: unresolved.len() as u64,
            subjects: subjects.len() as u64,
            nodes: nodes.collect(),
        }
    }
}

fn selects(world: &World<'_>, policy: &Compiled, pod: PodId) -> bool {
    let identities = world.identities();
    let identity = identities.identity(pod);
    !identity.host_network
        && policy.selects(&identity.namespace, identities.namespace_labels(&identity.namespace), &identity.labels)
}
