//! The effect of a change on flows: each flow is judged in the world before and in the world after, at both of its ends.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::ownership::Ends;
use crate::cluster::traffic::TrafficKey;
use crate::engine::backends::{Backend, BackendQuery};
use crate::engine::end_decision::{EndDecision, Permission, Undecidable};
use crate::engine::pair::Pair;
use crate::engine::world::World;
use crate::policy::admin_policy::AdminRule;
use foretell_objects::model::flow::Direction;

/// The effect of a change on a flow, by all policies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Effect {
    NewlyDenied,
    NewlyAllowed,
    StillAllowed,
    StillDenied,
    /// It is unknown whether the flow is allowed, before and after the change and for the same reason.
    StillUnknown,
    /// It is unknown whether the flow is newly denied.
    Unknown,
}

impl Effect {
    /// `same` is called if both permissions are unknown: whether both depend on the same rules.
    fn of(before: Permission, after: Permission, same: impl FnOnce() -> bool) -> Self {
        match (before, after) {
            (Permission::Denied, Permission::Allowed) => Self::NewlyAllowed,
            // Whether it was allowed before no longer matters.
            (Permission::Allowed | Permission::Unknown, Permission::Allowed) => Self::StillAllowed,
            (Permission::Allowed, Permission::Denied) => Self::NewlyDenied,
            (Permission::Denied, Permission::Denied | Permission::Unknown) => Self::StillDenied,
            (Permission::Unknown, Permission::Unknown) if same() => Self::StillUnknown,
            (Permission::Allowed | Permission::Unknown, Permission::Unknown)
            | (Permission::Unknown, Permission::Denied) => Self::Unknown,
        }
    }
}

/// The world before a change and the world after it, over one cluster.
#[derive(Clone, Copy, Debug)]
pub struct Worlds<'w, 'c> {
    /// The world before the change.
    pub before: &'w World<'c>,
    /// The world after the change.
    pub after: &'w World<'c>,
    /// The time for which backends of Services are looked up.
    pub at: Timestamp,
}

/// The effect of a change on a flow to one backend.
#[derive(Clone, Debug)]
pub struct FlowEffect {
    /// The flow as it is after the change.
    pub pair: Pair,
    /// The effect on the whole flow.
    pub effect: Effect,
    /// The decisions at its source.
    pub egress: DecisionChange,
    /// The decisions at its destination.
    pub ingress: DecisionChange,
}

/// The decisions about a flow at one of its ends, before and after a change.
#[derive(Clone, Debug)]
pub struct DecisionChange {
    /// The decision before. For a backend that the Service has only since the change: that on a former backend of the Service.
    pub before: EndDecision,
    /// The decision after.
    pub after: EndDecision,
}

impl DecisionChange {
    /// Whether this end allowed the flow before and denies it after.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.before.permission() == Permission::Allowed && self.after.permission() == Permission::Denied
    }
}

impl FlowEffect {
    /// The decisions at the end that policies of a direction select.
    #[must_use]
    pub fn at(&self, direction: Direction) -> &DecisionChange {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

impl Worlds<'_, '_> {
    /// The effects on a key's flows: one for each backend after the change that policies can distinguish.
    #[must_use]
    pub fn outcomes(&self, key: &TrafficKey) -> Vec<FlowEffect> {
        let blocks = [self.before.blocks(&key.src), self.after.blocks(&key.src)].concat();
        let dial = self.after.view().dial(&Ends { src: key.src, dst: key.dst }, key.protocol, key.port);
        let query = BackendQuery {
            client: &key.src,
            destination: &dial.destination,
            protocol: key.protocol,
            port: dial.port,
            dialled: dial.dialled,
            at: self.at,
            blocks: &blocks,
        };
        let backends = |world: &World<'_>| world.identities().backends(world.cluster(), &query);
        let pair = |backend: &Backend| pair(key, backend);
        let before: Vec<(Pair, EndDecision, EndDecision)> = backends(self.before)
            .iter()
            .map(pair)
            .map(|pair| {
                let decision = |direction| self.before.decide(&pair, direction);
                (pair, decision(Direction::Egress), decision(Direction::Ingress))
            })
            .collect();
        let permission =
            |(_, egress, ingress): &(Pair, EndDecision, EndDecision)| egress.permission().and(ingress.permission());
        backends(self.after)
            .iter()
            .map(pair)
            .filter_map(|pair| {
                // A new backend is compared with the former backend that had the least permission.
                let old = before
                    .iter()
                    .find(|(old, _, _)| old.dst == pair.dst)
                    .or_else(|| before.iter().min_by_key(|old| permission(old)))?;
                let egress =
                    DecisionChange { before: old.1.clone(), after: self.after.decide(&pair, Direction::Egress) };
                let ingress =
                    DecisionChange { before: old.2.clone(), after: self.after.decide(&pair, Direction::Ingress) };
                let after = egress.after.permission().and(ingress.after.permission());
                let same = || {
                    let ends = [(&egress, Direction::Egress), (&ingress, Direction::Ingress)];
                    ends.iter().all(|(change, direction)| self.depends_on_the_same(change, *direction))
                };
                let effect = Effect::of(permission(old), after, same);
                Some(FlowEffect { pair, effect, egress, ingress })
            })
            .collect()
    }

    /// Whether the decision at an end is the same before and after, whichever undecidable rules match: the same rules may match,
    /// with the same consequences.
    fn depends_on_the_same(&self, change: &DecisionChange, direction: Direction) -> bool {
        let (EndDecision::Unknown(before), EndDecision::Unknown(after)) = (&change.before, &change.after) else {
            return change.before.permission() == change.after.permission();
        };
        let rules = |world: &'_ World<'_>, undecidable: &Undecidable| -> Vec<_> {
            let doubts = undecidable.doubts.iter();
            doubts
                .map(|(_, doubt, permission)| {
                    let by = doubt.matched.by;
                    let rule = world.tiers().policy(by.policy).rules(direction).get(by.rule).cloned();
                    (rule.map(AdminRule::unnamed), *permission)
                })
                .collect()
        };
        before.otherwise.permission() == after.otherwise.permission()
            && rules(self.before, before) == rules(self.after, after)
    }
}

fn pair(key: &TrafficKey, backend: &Backend) -> Pair {
    Pair { src: key.src, dst: backend.end, protocol: key.protocol, port: backend.port, dialled: backend.dialled }
}
