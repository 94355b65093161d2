//! Where Git and the cluster disagree: enforced policies of the base that the snapshot does not hold as the base has them.

use std::collections::BTreeMap;

use crate::change::plan::{Compiled, Enforced};
use crate::change::revisions::{Change, Sourced};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::id::ObjectId;

/// An enforced policy of the base that the snapshot does not hold, or holds with another spec.
#[derive(Clone, Debug)]
pub struct Drift {
    /// Kind, namespace and name of the policy.
    pub reference: PolicyRef,
    /// Its place in the files of the base, as text.
    pub place: String,
    /// The policy as the snapshot holds it. `None`: the snapshot does not hold it.
    pub deployed: Option<Compiled>,
    /// Whether the change leaves the policy as the base has it.
    pub untouched: bool,
}

impl Drift {
    /// The drift of a change's base from the objects of the snapshot.
    pub(super) fn of(change: &Change, live: &BTreeMap<ObjectId, &Object>) -> Vec<Self> {
        // Of several objects of one identity the last counts, as in the world before the change.
        let before: BTreeMap<ObjectId, &Sourced> = change.before.iter().map(|it| (it.object.id(), it)).collect();
        let after: BTreeMap<ObjectId, &Sourced> = change.after.iter().map(|it| (it.object.id(), it)).collect();
        let drifts = before.into_iter().filter_map(|(id, sourced)| {
            let reference = Compiled::of(&sourced.object)?.reference().clone();
            if !reference.kind.is_enforced() {
                return None;
            }
            let is_same = |other: &Object| other.relevant_fields() == sourced.object.relevant_fields();
            let deployed = live.get(&id).copied();
            if deployed.is_some_and(is_same) {
                return None;
            }
            Some(Self {
                reference,
                place: sourced.place.to_string(),
                deployed: deployed.and_then(Compiled::of),
                untouched: after.get(&id).is_some_and(|after| is_same(&after.object)),
            })
        });
        drifts.collect()
    }
}

impl Enforced {
    /// Takes a policy as the snapshot holds it.
    pub fn set_as_deployed(&mut self, drift: &Drift) {
        self.network_policies.retain(|policy| policy.reference != drift.reference);
        self.admin_policies.retain(|policy| policy.reference != drift.reference);
        match &drift.deployed {
            Some(Compiled::Policy(policy)) => self.network_policies.push(policy.clone()),
            Some(Compiled::AdminPolicy(policy)) => self.admin_policies.push(policy.clone()),
            None => {}
        }
    }
}
