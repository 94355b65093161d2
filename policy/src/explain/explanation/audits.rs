//! What audit policies would change if they were promoted.

use std::sync::Arc;

use crate::engine::world::World;
use crate::explain::explanation::pair_class::PairClass;
use crate::explain::explanation::walk::{network_policy_step, walk_end};
use crate::explain::explanation::{AuditStep, PolicyOutcome, PolicyStep, Reachability};
use crate::policy::network_policy::{Policy, Restriction};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};

/// The answer of each audit policy that restricts one of the ends. Those that would change the answer come first.
pub(super) fn audits(
    world: &World<'_>,
    audited: &[Arc<Policy>],
    pairs: &[PairClass],
    answer: Reachability,
) -> Vec<AuditStep> {
    let restricting = audited.iter().filter(|policy| {
        Direction::BOTH.iter().any(|direction| pairs.iter().any(|it| restricts(world, policy, it, *direction)))
    });
    let mut after = world.clone();
    let mut steps: Vec<AuditStep> =
        restricting.flat_map(|policy| promoted(&mut after, policy, pairs, answer)).collect();
    steps.sort_by_key(|step| !step.changes_answer);
    steps
}

fn restricts(world: &World<'_>, policy: &Policy, PairClass { pair, .. }: &PairClass, direction: Direction) -> bool {
    let Some(subject) = pair.subject(direction).pod() else { return false };
    let identity = world.identities().identity(subject);
    let labels = world.identities().namespace_labels(&identity.namespace);
    *policy.restriction(direction) != Restriction::None && policy.selects(&identity.namespace, labels, &identity.labels)
}

/// The steps in a world where a policy is promoted. It replaces an enforced policy of the same name.
fn promoted(world: &mut World<'_>, policy: &Arc<Policy>, pairs: &[PairClass], answer: Reachability) -> Vec<AuditStep> {
    let audit = policy.reference.clone();
    let mut enforced = Policy::clone(policy);
    if audit.kind == PolicyKind::AuditNetworkPolicy {
        enforced.reference.kind = PolicyKind::NetworkPolicy;
    }
    let enforced = Arc::new(enforced);
    world.with_policy(&enforced, |after| steps(after, &enforced.reference, &audit, pairs, answer))
}

fn steps(
    after: &World<'_>,
    enforced: &PolicyRef,
    audit: &PolicyRef,
    pairs: &[PairClass],
    answer: Reachability,
) -> Vec<AuditStep> {
    let worst = |pairs: &PairClass| {
        let answers = Direction::BOTH.map(|direction| walk_end(after, &pairs.pair, direction).answer);
        answers.into_iter().min().unwrap_or(Reachability::Unknown)
    };
    let answer_if_promoted = pairs.iter().map(worst).min().unwrap_or(answer);
    let view = after.view();
    let steps = Direction::BOTH.into_iter().filter_map(|direction| {
        let steps = pairs.iter().flat_map(|PairClass { pair, .. }| {
            let answers = view.answers(pair, direction);
            let own = answers.filter(|(id, _)| view.index.policy(*id).reference == *enforced);
            own.map(|(id, answer)| network_policy_step(&view, id, answer, pair, direction)).collect::<Vec<PolicyStep>>()
        });
        // If the policy treats the pairs differently, a pair that it denies counts.
        let step = steps.min_by_key(|step| step.outcome != PolicyOutcome::Denies)?;
        Some(AuditStep {
            direction,
            step: PolicyStep { policy: audit.clone(), ..step },
            answer_if_promoted,
            changes_answer: answer_if_promoted != answer,
        })
    });
    steps.collect()
}
