//! Fixes for the denials of a policy, tried on the same window.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Value, json};

use crate::change::plan::{ChangeAction, PolicyChange};
use crate::engine::world::World;
use crate::judge::fix::fix;
use crate::judge::judgement::Judgement;
use crate::judge::judgement::denials::connections;
use crate::policy::network_policy::Policy;
use crate::report::connection::{Denial, State};
use crate::report::denial::{DenialId, DenialKey};
use crate::report::policies::{FixReport, UnresolvableDenial};
use foretell_objects::manifest::yaml_diff::yaml_diff;

impl Judgement<'_> {
    /// A fix of a policy for those of the denials that are attributed to it and unresolved. `world` contains the policy. `fixed` is
    /// the world after the change, and is unchanged when this returns. `None` if there is nothing to fix, or no rule of the policy
    /// can fix it.
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
        let is_allowed = |key: &&DenialKey| assessment.newly_allowed.contains_key(key);
        let (resolved, not_enough): (Vec<&DenialKey>, Vec<&DenialKey>) = fix.allowed.iter().partition(is_allowed);
        let wanted: BTreeSet<&DenialKey> = fix.allowed.iter().collect();
        let others = assessment.newly_allowed.iter().filter(|(key, _)| !wanted.contains(key));
        let ids = |keys: Vec<&DenialKey>| keys.into_iter().map(DenialKey::id).collect::<Vec<DenialId>>();
        Some(FixReport {
            resolves: ids(resolved),
            not_enough_for: ids(not_enough),
            unresolvable: fix
                .unresolvable
                .iter()
                .map(|(key, why)| UnresolvableDenial { denial: key.id(), why: why.to_string() })
                .collect(),
            also_allows: connections(others),
            diff: yaml_diff(&json!({"spec": json_form(&fix.before)}), &json!({"spec": json_form(&fix.after)})),
            spec: json_form(&fix.after),
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

fn json_form(spec: &NetworkPolicySpec) -> Value {
    // Cannot fail: a spec has only strings, numbers, lists and maps with string keys.
    serde_json::to_value(spec).unwrap_or_default()
}
