//! What would resolve the denials of a policy, asked of the same window.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Value, json};
use similar::TextDiff;

use crate::change::plan::{ChangeAction, PolicyChange};
use crate::engine::world::World;
use crate::judge::fix::fix;
use crate::judge::judgement::Judgement;
use crate::judge::judgement::denials::connections;
use crate::manifest::write_yaml as yaml;
use crate::policy::network_policy::Policy;
use crate::report::data::{Denial, State};
use crate::report::denial::{DenialId, DenialKey};
use crate::report::policies::{FixReport, UnresolvableDenial};

/// Lines that a diff shows around what changes.
const CONTEXT: usize = 4;

impl Judgement<'_, '_, '_> {
    /// A fix of a policy for what of these denials is laid at it and unresolved, in a world in which it holds. `None`: there is
    /// nothing to fix, or no rule of this policy would. `fixed` is the world after the change, and is so again at the end.
    pub(super) fn fix(
        &self,
        change: &PolicyChange,
        world: &World<'_>,
        fixed: &mut World<'_>,
        denials: &[Denial],
    ) -> Option<FixReport> {
        let own = denials.iter().filter(|it| it.state == State::Unresolved && it.policy == change.reference);
        let keys: Vec<DenialKey> = own.map(key).collect();
        if keys.is_empty() || change.action == ChangeAction::Removed {
            return None;
        }
        let fix = fix(&change.object, world, self.inputs.at, &keys)?;
        let policy = Arc::new(Policy::of(&fix.object)?);
        let changed = BTreeSet::from([change.reference.clone()]);
        let assessment = fixed.with_policy(&policy, |fixed| self.assess(world, fixed, &changed));
        let passes = |key: &&DenialKey| assessment.newly_allowed.contains_key(key);
        let (resolved, not_enough): (Vec<&DenialKey>, Vec<&DenialKey>) = fix.allowed.iter().partition(passes);
        let wanted: BTreeSet<&DenialKey> = fix.allowed.iter().collect();
        let besides = assessment.newly_allowed.iter().filter(|(key, _)| !wanted.contains(key));
        let ids = |keys: Vec<&DenialKey>| keys.into_iter().map(DenialKey::id).collect::<Vec<DenialId>>();
        Some(FixReport {
            resolves: ids(resolved),
            not_enough_for: ids(not_enough),
            unresolvable: fix
                .left
                .iter()
                .map(|(key, why)| UnresolvableDenial { denial: key.id(), why: why.to_string() })
                .collect(),
            also_allows: connections(besides),
            diff: diff(&fix.before, &fix.after),
            spec: written(&fix.after),
        })
    }
}

fn key(denial: &Denial) -> DenialKey {
    DenialKey {
        policy_namespace: denial.policy.namespace.clone(),
        policy_name: denial.policy.name.clone(),
        direction: denial.direction,
        subject: denial.subject.clone(),
        peer: denial.peer.clone(),
        protocol: denial.protocol,
        port: denial.port,
    }
}

fn written(spec: &NetworkPolicySpec) -> Value {
    // A spec of strings, numbers, lists and maps has a form in JSON.
    serde_json::to_value(spec).unwrap_or_default()
}

fn diff(before: &NetworkPolicySpec, after: &NetworkPolicySpec) -> String {
    let [before, after] = [before, after].map(|spec| yaml::text(&json!({"spec": written(spec)})));
    TextDiff::from_lines(&before, &after).unified_diff().context_radius(CONTEXT).to_string()
}
