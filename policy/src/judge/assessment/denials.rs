//! Newly denied flows, summed by connection.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::engine::pair::Pair;
use crate::judge::assessment::attribution::{Attribution, DenialText};
use crate::judge::assessment::connections::Merge;
use crate::judge::assessment::{Assessment, AssessmentInputs, DeniedConnection, Observation, PolicyDenial};
use crate::policy::exception::{DenyingPolicy as ByPolicy, Exception};
use crate::report::connection::DenyingPolicy;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;

impl AssessmentInputs<'_> {
    pub(super) fn note_denial(&self, observation: &Observation<'_>, assessment: &mut Assessment) {
        let outcome = observation.outcome;
        let pair = &outcome.pair;
        for direction in Direction::BOTH.into_iter().filter(|direction| outcome.at(*direction).closes()) {
            let (attributions, other_policies) = self.attribute(outcome, direction);
            if attributions.is_empty() {
                continue;
            }
            let denied = assessment.denied.entry(self, direction, pair).get_or_insert_with(DeniedConnection::default);
            if observation.is_in_use() {
                let named = attributions.iter().map(|attribution| &attribution.policy);
                self.apply_exceptions(denied, named.chain(&other_policies), direction, pair);
            }
            for attribution in attributions {
                match denied.policies.entry(attribution.policy.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(self.policy_denial(&attribution, pair, direction));
                    }
                    Entry::Occupied(mut known) => {
                        if self.order(pair) < self.order(&known.get().example) {
                            known.insert(self.policy_denial(&attribution, pair, direction));
                        }
                    }
                }
            }
            denied.other_policies.extend(other_policies);
            for sighting in observation.sightings {
                denied.sums.add(observation.key.src, sighting, observation.shared);
            }
        }
    }

    fn policy_denial(&self, attribution: &Attribution, pair: &Pair, direction: Direction) -> PolicyDenial {
        let DenialText { summary, message, nearest } = attribution.explain(self.worlds.after, pair, direction);
        let Attribution { policy, cause, denier, .. } = attribution;
        let reason = denier.reason.to_owned();
        let why = DenyingPolicy { policy: policy.clone(), cause: *cause, reason, nearest, summary, message };
        PolicyDenial { why, example: *pair }
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
        let denying = ByPolicy { policy, promoted_from };
        let question = self.worlds.after.question(pair, direction);
        self.exceptions.iter().enumerate().filter(|(_, it)| it.covers(&denying, &question)).collect()
    }

    /// An exception for any of the policies is enough: it accepts that this connection is denied.
    fn apply_exceptions<'p>(
        &self,
        denied: &mut DeniedConnection,
        policies: impl Iterator<Item = &'p PolicyRef>,
        direction: Direction,
        pair: &Pair,
    ) {
        if self.exceptions.is_empty() {
            denied.uncovered = true;
            return;
        }
        let covering: BTreeMap<usize, &Exception> =
            policies.flat_map(|policy| self.covering(policy, direction, pair)).collect();
        let (expired, in_force): (Vec<_>, Vec<_>) =
            covering.into_iter().partition(|(_, exception)| exception.has_expired(self.worlds.at));
        denied.expired.extend(expired.iter().map(|(index, _)| *index));
        match in_force.first() {
            Some((index, _)) => {
                denied.accepted_by.insert(*index);
            }
            None => denied.uncovered = true,
        }
    }
}

impl Merge for DeniedConnection {
    fn merge(&mut self, other: Self, inputs: &AssessmentInputs<'_>) {
        for (policy, denial) in other.policies {
            match self.policies.entry(policy) {
                Entry::Vacant(vacant) => {
                    vacant.insert(denial);
                }
                Entry::Occupied(mut known) => {
                    if inputs.order(&denial.example) < inputs.order(&known.get().example) {
                        known.insert(denial);
                    }
                }
            }
        }
        self.other_policies.extend(other.other_policies);
        self.sums.merge(other.sums);
        self.uncovered |= other.uncovered;
        self.accepted_by.extend(other.accepted_by);
        self.expired.extend(other.expired);
    }
}
