//! What a change of worlds does to flows: each is asked in the world before and in the world after, at both of its ends.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::flow::Direction;
use crate::listeners::Listener;
use crate::traffic::Key;
use crate::world::{Pair, Standing, World};

/// What enforcing changes, all policies together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum Effect {
    NewlyDenied,
    NewlyAllowed,
    StillAllowed,
    StillDenied,
}

impl Effect {
    fn of(before: bool, after: bool) -> Self {
        match (before, after) {
            (true, true) => Self::StillAllowed,
            (true, false) => Self::NewlyDenied,
            (false, true) => Self::NewlyAllowed,
            (false, false) => Self::StillDenied,
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
        self.before.passes() && !self.after.passes()
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
        let pair =
            |listener: &Listener| Pair { src: key.src, dst: listener.end, protocol: key.protocol, port: listener.port };
        let before: Vec<(Pair, Standing, Standing)> = listeners(self.before)
            .iter()
            .map(pair)
            .map(|pair| {
                let standing = |direction| self.before.standing(&pair, direction);
                (pair, standing(Direction::Egress), standing(Direction::Ingress))
            })
            .collect();
        let passes = |(_, egress, ingress): &(Pair, Standing, Standing)| egress.passes() && ingress.passes();
        listeners(self.after)
            .iter()
            .map(pair)
            .filter_map(|pair| {
                // A listener that was not there before takes over from the one that fared worst.
                let old = before
                    .iter()
                    .find(|(old, _, _)| old.dst == pair.dst)
                    .or_else(|| before.iter().find(|old| !passes(old)))
                    .or_else(|| before.first())?;
                let egress = Change { before: old.1.clone(), after: self.after.standing(&pair, Direction::Egress) };
                let ingress = Change { before: old.2.clone(), after: self.after.standing(&pair, Direction::Ingress) };
                let effect = Effect::of(passes(old), egress.after.passes() && ingress.after.passes());
                Some(Outcome { pair, effect, egress, ingress })
            })
            .collect()
    }
}
