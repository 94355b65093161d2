//! Newly denied flows, summed by connection.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use crate::cluster::sum::Sums;
use crate::engine::pair::Pair;
use crate::judge::assessment::attribution::{Attribution, DenialText};
use crate::judge::assessment::{Assessment, AssessmentInputs, DeniedConnection, Observation};
use crate::policy::exception::{DenyingPolicy, Exception};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;

impl AssessmentInputs<'_> {
    pub(super) fn note_denial(&self, observation: &Observation<'_>, assessment: &mut Assessment) {
        let outcome = observation.outcome;
        for direction in Direction::BOTH.into_iter().filter(|direction| outcome.at(*direction).closes()) {
            let pair = &outcome.pair;
            for attribution in self.attribute(outcome, direction) {
                let policy = attribution.policy.clone();
                let key = self.denial_key(&policy, direction, pair);
                let denied = match assessment.denied.entry(key) {
                    Entry::Vacant(vacant) => vacant.insert(self.denied(attribution, pair, direction)),
                    Entry::Occupied(occupied) => {
                        let known = occupied.into_mut();
                        if self.order(pair) < self.order(&known.example) {
                            let DeniedConnection { cause, reason, nearest, summary, message, example, .. } =
                                self.denied(attribution, pair, direction);
                            (known.cause, known.reason, known.example) = (cause, reason, example);
                            (known.nearest, known.summary, known.message) = (nearest, summary, message);
                        }
                        known
                    }
                };
                for sighting in observation.sightings {
                    denied.sums.add(observation.key.src, sighting, observation.shared);
                }
                if observation.is_in_use() {
                    self.apply_exceptions(denied, &policy, direction, pair);
                }
            }
        }
    }

    /// A denial with this flow as its example, and without traffic yet.
    fn denied(&self, attribution: Attribution, pair: &Pair, direction: Direction) -> DeniedConnection {
        let DenialText { summary, message, nearest } = attribution.explain(self.worlds.after, pair, direction);
        let Attribution { policy, cause, denier, .. } = attribution;
        DeniedConnection {
            policy,
            cause,
            reason: denier.reason,
            nearest,
            summary,
            message,
            example: *pair,
            sums: Sums::default(),
            uncovered: false,
            accepted_by: BTreeSet::new(),
            expired: BTreeSet::new(),
        }
    }

    /// An order of flows that does not depend on the order in which they are found. Pods of one workload may differ in labels, so
    /// the example of a connection must not be an arbitrary flow.
    pub(super) fn order(&self, pair: &Pair) -> impl Ord {
        let cluster = self.worlds.after.cluster();
        [pair.src, pair.dst].map(|end| {
            let pod = end.pod().map(|pod| cluster.pod(pod));
            (pod.map(|pod| (pod.name.as_str(), pod.uid.as_deref())), end.ip())
        })
    }

    /// The exceptions, with their indexes, that cover a flow's denial by a policy; expired ones too.
    pub(super) fn covering(&self, policy: &PolicyRef, direction: Direction, pair: &Pair) -> Vec<(usize, &Exception)> {
        let promoted_from = self.promoted_from.get(&(policy.namespace.clone(), policy.name.clone()));
        let denying = DenyingPolicy { policy, promoted_from };
        let question = self.worlds.after.question(pair, direction);
        self.exceptions.iter().enumerate().filter(|(_, it)| it.covers(&denying, &question)).collect()
    }

    fn apply_exceptions(&self, denied: &mut DeniedConnection, policy: &PolicyRef, direction: Direction, pair: &Pair) {
        let covering = self.covering(policy, direction, pair).into_iter();
        let (expired, in_force): (Vec<_>, Vec<_>) =
            covering.partition(|(_, exception)| exception.has_expired(self.worlds.at));
        denied.expired.extend(expired.iter().map(|(index, _)| *index));
        match in_force.first() {
            Some((index, _)) => {
                denied.accepted_by.insert(*index);
            }
            None => denied.uncovered = true,
        }
    }
}
