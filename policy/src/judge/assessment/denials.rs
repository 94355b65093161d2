//! Newly denied flows, summed by connection.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use jiff::Timestamp;

use crate::cluster::sum::Sums;
use crate::engine::pair::Pair;
use crate::judge::assessment::attribution::{Attribution, DenialText};
use crate::judge::assessment::{Assessment, AssessmentInputs, DeniedConnection, Observation};
use crate::model::flow::Direction;
use crate::model::policy_ref::PolicyRef;
use crate::policy::exception::{DenyingPolicy, Exception};

impl AssessmentInputs<'_, '_, '_> {
    pub(super) fn note_denial(&self, seen: &Observation<'_>, at: Timestamp, assessment: &mut Assessment) {
        for direction in Direction::BOTH.into_iter().filter(|direction| seen.outcome.at(*direction).closes()) {
            let pair = &seen.outcome.pair;
            for blamed in self.blame(seen.outcome, direction) {
                let policy = blamed.policy.clone();
                let key = self.denial_key(&policy, direction, pair);
                let denied = match assessment.denied.entry(key) {
                    Entry::Vacant(vacant) => vacant.insert(self.denied(blamed, pair, direction)),
                    Entry::Occupied(occupied) => {
                        let known = occupied.into_mut();
                        if self.order(pair) < self.order(&known.example) {
                            let DeniedConnection { cause, reason, nearest, message, .. } =
                                self.denied(blamed, pair, direction);
                            let example = *pair;
                            (known.cause, known.reason, known.example) = (cause, reason, example);
                            (known.nearest, known.message) = (nearest, message);
                        }
                        known
                    }
                };
                for sighting in seen.sightings {
                    denied.sums.add(seen.key.src, sighting, seen.shared);
                }
                if seen.is_in_use() {
                    self.ask_exceptions(denied, &policy, direction, pair, at);
                }
            }
        }
    }

    /// A denial that is told by this flow.
    fn denied(&self, blamed: Attribution, pair: &Pair, direction: Direction) -> DeniedConnection {
        let DenialText { message, nearest } = blamed.explain(self.worlds.after, pair, direction);
        let Attribution { policy, cause, denier, .. } = blamed;
        DeniedConnection {
            policy,
            cause,
            reason: denier.reason,
            nearest,
            message,
            example: *pair,
            sums: Sums::default(),
            uncovered: false,
            accepted_by: BTreeSet::new(),
            expired: BTreeSet::new(),
        }
    }

    /// Pods of one workload may have different labels. By which of them a connection is told does not depend on the order in
    /// which they are found.
    pub(super) fn order(&self, pair: &Pair) -> impl Ord {
        let cluster = self.worlds.after.cluster();
        [pair.src, pair.dst].map(|end| {
            let pod = end.pod().map(|pod| cluster.pod(pod));
            (pod.map(|pod| (pod.name.as_str(), pod.uid.as_deref())), end.ip())
        })
    }

    /// The exceptions that speak of a flow's denial by a policy, expired ones too.
    pub(super) fn covering(&self, policy: &PolicyRef, direction: Direction, pair: &Pair) -> Vec<(usize, &Exception)> {
        let promoted = self.promoted_from.get(&(policy.namespace.clone(), policy.name.clone()));
        let accused = DenyingPolicy { policy, promoted_from: promoted };
        let question = self.worlds.after.question(pair, direction);
        self.exceptions.iter().enumerate().filter(|(_, it)| it.covers(&accused, &question)).collect()
    }

    fn ask_exceptions(
        &self,
        denied: &mut DeniedConnection,
        policy: &PolicyRef,
        direction: Direction,
        pair: &Pair,
        at: Timestamp,
    ) {
        let covering = self.covering(policy, direction, pair).into_iter();
        let (expired, live): (Vec<_>, Vec<_>) = covering.partition(|(_, exception)| exception.has_expired(at));
        denied.expired.extend(expired.iter().map(|(index, _)| *index));
        match live.first() {
            Some((index, _)) => {
                denied.accepted_by.insert(*index);
            }
            None => denied.uncovered = true,
        }
    }
}
