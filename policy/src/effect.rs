//! What a change of worlds does to flows: each is asked in the world before and in the world after, at both of its ends.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::flow::Direction;
use crate::listeners::Listener;
use crate::tier::chain::{Passage, Undecidable};
use crate::tier::policy::Rule;
use crate::traffic::Key;
use crate::world::{Dialled, Pair, Standing, World};

/// What enforcing changes, all policies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Effect {
    NewlyDenied,
    NewlyAllowed,
    StillAllowed,
    StillDenied,
    /// It cannot be told, after the change as before it and for the same reason.
    StillUnknown,
    /// It may be newly denied: that cannot be told.
    Unknown,
}

impl Effect {
    /// `same`: where neither can be told, it depends on the same.
    fn of(before: Passage, after: Passage, same: impl FnOnce() -> bool) -> Self {
        match (before, after) {
            (Passage::Denied, Passage::Passes) => Self::NewlyAllowed,
            // Whether it passed before matters no more.
            (Passage::Passes | Passage::Unknown, Passage::Passes) => Self::StillAllowed,
            (Passage::Passes, Passage::Denied) => Self::NewlyDenied,
            (Passage::Denied, Passage::Denied | Passage::Unknown) => Self::StillDenied,
            (Passage::Unknown, Passage::Unknown) if same() => Self::StillUnknown,
            (Passage::Passes | Passage::Unknown, Passage::Unknown) | (Passage::Unknown, Passage::Denied) => {
                Self::Unknown
            }
        }
    }
}

/// The world before a change and the world after it, over one cluster.
#[derive(Clone, Copy, Debug)]
pub struct Worlds<'w, 'c> {
    /// Before.
    pub before: &'w World<'c>,
    /// After.
    pub after: &'w World<'c>,
    /// The time at which Services are asked for their backends.
    pub at: Timestamp,
}

/// What becomes of a flow to one listener.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The flow as it is after the change.
    pub pair: Pair,
    /// What becomes of it.
    pub effect: Effect,
    /// How it stands at its source.
    pub egress: Change,
    /// How it stands at its destination.
    pub ingress: Change,
}

/// How a flow stands at one of its ends.
#[derive(Clone, Debug)]
pub struct Change {
    /// Before; for a listener that a Service has only since the change, as for the Service's listeners before.
    pub before: Standing,
    /// After.
    pub after: Standing,
}

impl Change {
    /// Whether this end lets the flow pass no more.
    #[must_use]
    pub fn closes(&self) -> bool {
        self.before.passage() == Passage::Passes && self.after.passage() == Passage::Denied
    }
}

impl Outcome {
    /// The end of a direction's subject.
    #[must_use]
    pub fn at(&self, direction: Direction) -> &Change {
        match direction {
            Direction::Egress => &self.egress,
            Direction::Ingress => &self.ingress,
        }
    }
}

impl Worlds<'_, '_> {
    /// What becomes of a key's flows: one outcome for each listener after the change that policies can tell apart.
    #[must_use]
    pub fn outcomes(&self, key: &Key) -> Vec<Outcome> {
        let blocks = [self.before.blocks(&key.src), self.after.blocks(&key.src)].concat();
        let listeners = |world: &World<'_>| {
            world.population().listeners(&key.src, &key.dst, key.protocol, key.port, self.at, &blocks)
        };
        let pair = |listener: &Listener| pair(key, listener);
        let before: Vec<(Pair, Standing, Standing)> = listeners(self.before)
            .iter()
            .map(pair)
            .map(|pair| {
                let standing = |direction| self.before.standing(&pair, direction);
                (pair, standing(Direction::Egress), standing(Direction::Ingress))
            })
            .collect();
        let passage = |(_, egress, ingress): &(Pair, Standing, Standing)| egress.passage().and(ingress.passage());
        listeners(self.after)
            .iter()
            .map(pair)
            .filter_map(|pair| {
                // A listener that was not there before takes over from the one that fared worst.
                let old = before
                    .iter()
                    .find(|(old, _, _)| old.dst == pair.dst)
                    .or_else(|| before.iter().min_by_key(|old| passage(old)))?;
                let egress = Change { before: old.1.clone(), after: self.after.standing(&pair, Direction::Egress) };
                let ingress = Change { before: old.2.clone(), after: self.after.standing(&pair, Direction::Ingress) };
                let after = egress.after.passage().and(ingress.after.passage());
                let same = || {
                    let ends = [(&egress, Direction::Egress), (&ingress, Direction::Ingress)];
                    ends.iter().all(|(change, direction)| self.depends_on_the_same(change, *direction))
                };
                let effect = Effect::of(passage(old), after, same);
                Some(Outcome { pair, effect, egress, ingress })
            })
            .collect()
    }

    /// Whether an end stands after as it did before, whatever of it traffic does not tell: the same rules in doubt, with the
    /// same ends.
    fn depends_on_the_same(&self, change: &Change, direction: Direction) -> bool {
        let (Standing::Unknown(before), Standing::Unknown(after)) = (&change.before, &change.after) else {
            return change.before.passage() == change.after.passage();
        };
        let rules = |world: &'_ World<'_>, undecidable: &Undecidable| -> Vec<_> {
            let doubts = undecidable.doubts.iter();
            doubts
                .map(|(_, doubt, passage)| {
                    let by = doubt.taken.by;
                    let rule = world.tiers().policy(by.policy).rules(direction).get(by.rule).cloned();
                    (rule.map(Rule::unnamed), *passage)
                })
                .collect()
        };
        before.otherwise.passage() == after.otherwise.passage()
            && rules(self.before, before) == rules(self.after, after)
    }
}

fn pair(key: &Key, listener: &Listener) -> Pair {
    let dialled = Dialled::from(&key.dst);
    Pair { src: key.src, dst: listener.end, protocol: key.protocol, port: listener.port, dialled }
}
