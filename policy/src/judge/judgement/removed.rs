//! Workloads that a change removes or renames.
//!
//! The pods of a removed workload run until the change is applied, and its connections were in use. Which workload opens them
//! afterwards, if any, is not written anywhere. So their identities stay as they are, and a note names the connections.
//!
//! A renamed workload is a removed and an added one. If the added one has other labels, policies may deny what the removed one was
//! allowed, and no recorded traffic carries the new labels. A workload counts as a possible successor if the change adds it in the
//! same namespace, and its name is the same (of another kind) or extends the other by a part (`web` and `web-v2`), or the same file
//! loses the one and gains the other. The connections of the removed one are then judged with the labels of the possible successor.
//! If one would be denied, the answer is "could not decide": it is a guess that the one follows the other, so it does not block; and
//! it hides no denial.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::change::plan::{ChangeAction, IdentityChange};
use crate::cluster::ownership::Destination;
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::cluster::workload::Workload;
use crate::engine::identities::Identities;
use crate::engine::world::World;
use crate::judge::judgement::Judgement;
use crate::judge::judgement::unapplied::{is_in_use, passes, title};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::words::count;

impl Judgement<'_> {
    /// Notes the removed workloads whose connections were in use, and returns those whose possible successor would be denied one.
    pub(super) fn removed(&self, notes: &mut Vec<String>) -> Vec<UndecidedPart> {
        let mut parts = Vec::new();
        let is_workload = |change: &&IdentityChange| {
            !matches!(change.kind.as_str(), "Namespace" | "Service" | "EndpointSlice" | "Endpoints")
        };
        let of = |action: ChangeAction| {
            self.plan.identities.iter().filter(is_workload).filter(move |change| change.action == action)
        };
        for removed in of(ChangeAction::Removed) {
            let workload = workload(removed);
            let pods = self.pods_of(&workload);
            let in_use = self.connections_of(&pods);
            if in_use.is_empty() {
                continue;
            }
            let successors: Vec<_> = of(ChangeAction::Added).filter(|added| may_follow(removed, added)).collect();
            for added in &successors {
                parts.extend(self.denied_to_successor(removed, added, &pods));
            }
            let follows = match successors.first() {
                Some(added) => format!("{} may take its place", added.title()),
                None => "which workload takes its place is unknown".to_owned(),
            };
            let first = in_use.iter().next().map_or("", String::as_str);
            let number = count(in_use.len() as u64, "connection of it was", "connections of it were");
            notes.push(format!("the change removes {}; {number} in use ({first}), and {follows}", title(&workload)));
        }
        parts
    }

    /// The connections in use of these pods, as text.
    fn connections_of(&self, pods: &HashSet<PodId>) -> BTreeSet<String> {
        let cluster = self.inputs.cluster;
        let keys = self.inputs.traffic.touching(pods, &HashSet::new());
        let in_use = keys.into_iter().filter(|(_, sightings)| is_in_use(sightings));
        let texts = in_use.map(|(key, _)| {
            let dst = match key.dst {
                Destination::Direct(end) => Party::of(&end, cluster).to_string(),
                Destination::Service { service, .. } => {
                    let service = cluster.service(service);
                    format!("Service/{} in {}", service.name, service.namespace)
                }
            };
            format!("{} → {dst} {} {}", Party::of(&key.src, cluster), key.protocol, key.port)
        });
        texts.collect()
    }

    /// Judges the connections of a removed workload as those of an added one.
    fn denied_to_successor(
        &self,
        removed: &IdentityChange,
        added: &IdentityChange,
        pods: &HashSet<PodId>,
    ) -> Option<UndecidedPart> {
        let (was, is) = (workload(removed), workload(added));
        let template = self.plan.head.templates.get(&is)?;
        let old = self.plan.base.templates.get(&was);
        if old == Some(template) {
            return None;
        }
        let mut head = self.plan.head.clone();
        head.templates.insert(was, template.clone());
        let cluster = self.inputs.cluster;
        let identities = Arc::new(Identities::overlaid(cluster, self.inputs.at, &self.plan.base, &head));
        let policies = self.after.policies().cloned().collect();
        let successor = World::in_dialect(self.inputs.dialect, cluster, identities, policies)
            .with_admin_policies(self.after.tiers().policies().to_vec());
        let mut denied = BTreeSet::new();
        for (_, outcome) in self.outcomes_between(self.after, &successor, pods) {
            if passes(self.after, &outcome.pair) && !passes(&successor, &outcome.pair) {
                denied.insert(self.connection(&outcome.pair));
            }
        }
        let first = denied.first()?;
        let more = match denied.len() as u64 - 1 {
            0 => String::new(),
            more => format!(" (and {})", count(more, "more connection", "more connections")),
        };
        Some(UndecidedPart {
            places: vec![removed.place.clone(), added.place.clone()],
            what: format!(
                "the change removes {} and adds {}, which may take its place, and with its labels policies would deny {first}{more}",
                removed.title(),
                added.title()
            ),
            fix: "keep the labels that policies select, or change the policies too, or remove the one workload in a change of its own"
                .to_owned(),
        })
    }
}

fn workload(change: &IdentityChange) -> Workload {
    let kind = change.kind.split('.').next().unwrap_or_default().to_owned();
    Workload { namespace: change.namespace.clone(), kind, name: change.name.clone() }
}

/// Whether an added workload may take the place of a removed one.
fn may_follow(removed: &IdentityChange, added: &IdentityChange) -> bool {
    let file = |change: &'_ IdentityChange| change.place.split(", document").next().unwrap_or_default().to_owned();
    let extends =
        |long: &str, short: &str| long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    let (was, is) = (removed.name.as_str(), added.name.as_str());
    removed.namespace == added.namespace && (extends(was, is) || extends(is, was) || file(removed) == file(added))
}
