//! Fixes for denials, tried together on the same window.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Value, json};

use crate::change::plan::{ChangeAction, Compiled, PolicyChange};
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::engine::world::World;
use crate::judge::assessment::Assessment;
use crate::judge::fix::stable::selecting;
use crate::judge::fix::{FixedPolicy, can_fix, fix, new_policy};
use crate::judge::judgement::Judgement;
use crate::judge::judgement::denials::connection;
use crate::policy::network_policy::Policy;
use crate::report::connection::{Denial, DenialCause, State};
use crate::report::denial::{ConnectionKey, DenialId};
use crate::report::policies::{FixReport, UnresolvableDenial};
use foretell_objects::manifest::yaml_diff::yaml_diff;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::object::{Kind, Object};

/// The policy that gets rules for a denial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Target {
    /// A policy of the change, by its place in the plan.
    Changed(usize),
    /// A new policy for one workload.
    New(Party),
}

/// A fix before it is tried.
struct Attempt {
    policy: PolicyRef,
    /// The file of a policy of the change.
    place: Option<String>,
    fixed: FixedPolicy,
}

impl Judgement<'_> {
    /// Fixes for the unresolved denials of the enforced policies, each for the policy that selects the fewest other workloads. If
    /// every policy of a denial selects others, for which the rule is not needed, the fix is a new policy for the workload.
    pub(super) fn fixes(&self, denials: &[Denial]) -> Vec<FixReport> {
        let unresolved: Vec<&Denial> = denials.iter().filter(|denial| denial.state == State::Unresolved).collect();
        if unresolved.is_empty() {
            return Vec::new();
        }
        let selected: Vec<BTreeSet<Party>> =
            self.plan.enforced.iter().map(|change| self.selected_workloads(change)).collect();
        let keys: BTreeSet<ConnectionKey> = unresolved.iter().map(|denial| key(denial)).collect();
        let mut wanted: BTreeMap<Target, Vec<ConnectionKey>> = BTreeMap::new();
        for denial in unresolved {
            if let Some(target) = self.target(denial, &selected, &keys) {
                wanted.entry(target).or_default().push(key(denial));
            }
        }
        let attempts: Vec<Attempt> = wanted.iter().filter_map(|(target, keys)| self.attempt(target, keys)).collect();
        let mut fixed = self.after.clone();
        let mut changed = BTreeSet::new();
        for policy in attempts.iter().filter_map(|attempt| Policy::of(&attempt.fixed.object)) {
            changed.insert(policy.reference.clone());
            fixed.set(&Arc::new(policy));
        }
        let assessment = self.assess(self.after, &fixed, &changed);
        attempts.into_iter().map(|attempt| report(attempt, &assessment)).collect()
    }

    /// A fix of a previewed audit policy. `world` contains the policy. `fixed` is the world after the change, and is unchanged when
    /// this returns. `None` if there is nothing to fix, or no rule of the policy can fix it.
    pub(super) fn preview_fix(
        &self,
        change: &PolicyChange,
        world: &World<'_>,
        fixed: &mut World<'_>,
        denials: &[Denial],
    ) -> Option<FixReport> {
        let keys: Vec<ConnectionKey> =
            denials.iter().filter(|denial| denial.state == State::Unresolved).map(key).collect();
        if keys.is_empty() || change.action == ChangeAction::Removed {
            return None;
        }
        let attempt = Attempt {
            policy: change.reference.clone(),
            place: Some(change.place.clone()),
            fixed: fix(&change.object, world, self.inputs.at, &keys)?,
        };
        let policy = Arc::new(Policy::of(&attempt.fixed.object)?);
        let changed = BTreeSet::from([change.reference.clone()]);
        let assessment = fixed.with_policy(&policy, |fixed| self.assess(world, fixed, &changed));
        Some(report(attempt, &assessment))
    }

    fn target(
        &self,
        denial: &Denial,
        selected: &[BTreeSet<Party>],
        unresolved: &BTreeSet<ConnectionKey>,
    ) -> Option<Target> {
        let caused = denial.policies.iter().filter(|policy| policy.cause == DenialCause::Policy);
        let candidates: Vec<usize> = caused
            .filter_map(|policy| self.plan.enforced.iter().position(|it| it.reference == policy.policy))
            .filter(|index| can_fix(&self.plan.enforced[*index].object))
            .collect();
        let first = *candidates.first()?;
        let needs_it = |subject: &Party| {
            *subject == denial.subject
                || unresolved.contains(&ConnectionKey { subject: subject.clone(), ..key(denial) })
        };
        let selects_others =
            |index: &usize| selected[*index].iter().filter(|subject| **subject != denial.subject).count();
        let exact = candidates
            .iter()
            .filter(|index| selected[**index].iter().all(needs_it))
            .min_by_key(|it| selects_others(it));
        Some(match exact {
            Some(index) => Target::Changed(*index),
            None if self.new_policy(&denial.subject, BTreeSet::new()).is_some() => Target::New(denial.subject.clone()),
            None => Target::Changed(first),
        })
    }

    fn attempt(&self, target: &Target, keys: &[ConnectionKey]) -> Option<Attempt> {
        let at = self.inputs.at;
        match target {
            Target::Changed(index) => {
                let change = &self.plan.enforced[*index];
                Some(Attempt {
                    policy: change.reference.clone(),
                    place: Some(change.place.clone()),
                    fixed: fix(&change.object, self.after, at, keys)?,
                })
            }
            Target::New(subject) => {
                let object = self.new_policy(subject, keys.iter().map(|key| key.direction).collect())?;
                let policy = Policy::of(&object)?.reference;
                Some(Attempt { policy, place: None, fixed: fix(&object, self.after, at, keys)? })
            }
        }
    }

    /// A NetworkPolicy without rules that selects the pods of this workload and no others. `None` if labels cannot select them.
    fn new_policy(&self, subject: &Party, directions: BTreeSet<Direction>) -> Option<Object> {
        let Party::Workload { namespace, name, .. } = subject else { return None };
        let labels = selecting(subject, self.after, self.inputs.at)?;
        let is_taken = |name: &str| {
            let mut references = self.after.policies().map(|policy| &policy.reference);
            references.any(|it| it.kind == PolicyKind::NetworkPolicy && it.namespace == *namespace && it.name == name)
        };
        let mut names = std::iter::once(format!("{name}-allow")).chain((2..).map(|n| format!("{name}-allow-{n}")));
        let name = names.find(|name| !is_taken(name))?;
        let directions: Vec<Direction> = directions.into_iter().collect();
        let manifest = new_policy::manifest(Kind::NetworkPolicy, namespace, &name, &labels, &directions);
        let object = new_policy::object(manifest).ok()?;
        let selected = self.selected_by(&Compiled::of(&object)?);
        let selects_others = selected.iter().any(|pod| self.party(*pod) != *subject);
        (!selects_others).then_some(object)
    }

    fn selected_workloads(&self, change: &PolicyChange) -> BTreeSet<Party> {
        self.selected(change).into_iter().map(|pod| self.party(pod)).collect()
    }

    fn party(&self, pod: PodId) -> Party {
        Party::workload(&self.inputs.cluster.pod(pod).workload)
    }
}

fn report(attempt: Attempt, assessment: &Assessment) -> FixReport {
    let Attempt { policy, place, fixed: fix } = attempt;
    let is_allowed = |key: &&ConnectionKey| assessment.newly_allowed.contains(key);
    let (resolved, not_enough): (Vec<&ConnectionKey>, Vec<&ConnectionKey>) = fix.allowed.iter().partition(is_allowed);
    let wanted: BTreeSet<&ConnectionKey> = fix.allowed.iter().collect();
    let others = assessment.newly_allowed.iter().filter(|(key, it, _)| it.policy == policy && !wanted.contains(key));
    let ids = |keys: Vec<&ConnectionKey>| keys.into_iter().map(ConnectionKey::denial_id).collect::<Vec<DenialId>>();
    FixReport {
        resolves: ids(resolved),
        not_enough_for: ids(not_enough),
        unresolvable: fix
            .unresolvable
            .iter()
            .map(|(key, why)| UnresolvableDenial { denial: key.denial_id(), why: why.to_string() })
            .collect(),
        also_allows: others.filter_map(connection).collect(),
        diff: match place {
            Some(_) => yaml_diff(&json!({"spec": json_form(&fix.before)}), &json!({"spec": json_form(&fix.after)})),
            None => String::new(),
        },
        spec: json_form(&fix.after),
        policy,
        place,
    }
}

pub(super) fn key(denial: &Denial) -> ConnectionKey {
    ConnectionKey {
        direction: denial.direction,
        subject: denial.subject.clone(),
        peer: denial.peer.clone(),
        protocol: denial.protocol,
        port: denial.port,
    }
}

fn json_form(spec: &NetworkPolicySpec) -> Value {
    // Cannot fail: a spec has only strings, numbers, lists and maps with string keys.
    serde_json::to_value(spec).unwrap_or_default()
}
