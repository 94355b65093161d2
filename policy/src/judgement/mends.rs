//! What would resolve the denials of a policy, asked of the same window.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::{Value, json};
use similar::TextDiff;

use super::Judgement;
use super::denials::relations;
use crate::change::{Action, PolicyChange};
use crate::compiled::Policy;
use crate::denial::{DenialId, DenialKey};
use crate::mend::mend;
use crate::report::policies::{LeftReport, MendReport};
use crate::report::{Denial, State};
use crate::snapshot::yaml;
use crate::world::World;

/// Lines that a diff shows around what changes.
const CONTEXT: usize = 4;

impl Judgement<'_, '_, '_> {
    /// A mend of a policy for what of these denials is laid at it and unresolved, in a world in which it holds. `None`: there is
    /// nothing to mend, or no rule of this policy would. `mended` is the world after the change, and is so again at the end.
    pub(super) fn mend(
        &self,
        change: &PolicyChange,
        world: &World<'_>,
        mended: &mut World<'_>,
        denials: &[Denial],
    ) -> Option<MendReport> {
        let own = denials.iter().filter(|it| it.state == State::Unresolved && it.policy == change.reference);
        let keys: Vec<DenialKey> = own.map(key).collect();
        if keys.is_empty() || change.action == Action::Removed {
            return None;
        }
        let mend = mend(&change.object, world, self.inputs.at, &keys)?;
        let policy = Arc::new(Policy::of(&mend.object)?);
        let changed = BTreeSet::from([change.reference.clone()]);
        let assessment = mended.trying(&policy, |mended| self.assess(world, mended, &changed));
        let passes = |key: &&DenialKey| assessment.newly_allowed.contains_key(key);
        let (resolved, not_enough): (Vec<&DenialKey>, Vec<&DenialKey>) = mend.allowed.iter().partition(passes);
        let wanted: BTreeSet<&DenialKey> = mend.allowed.iter().collect();
        let besides = assessment.newly_allowed.iter().filter(|(key, _)| !wanted.contains(key));
        let ids = |keys: Vec<&DenialKey>| keys.into_iter().map(DenialKey::id).collect::<Vec<DenialId>>();
        Some(MendReport {
            resolves: ids(resolved),
            not_enough_for: ids(not_enough),
            left: mend.left.iter().map(|(key, why)| LeftReport { denial: key.id(), why: why.to_string() }).collect(),
            also_allows: relations(besides),
            diff: diff(&mend.before, &mend.after),
            spec: written(&mend.after),
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
