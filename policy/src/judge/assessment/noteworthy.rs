//! Connections that the report lists for information, with sums of their traffic.

use crate::engine::effect::FlowEffect;
use crate::judge::assessment::attribution::deniers;
use crate::judge::assessment::connections::{Connections, Merge};
use crate::judge::assessment::{AssessmentInputs, Noteworthy, Observation};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;

/// How many policies are named that already deny a flow.
const MOST_DENIERS: usize = 3;

impl Merge for Noteworthy {
    fn merge(&mut self, other: Self, inputs: &AssessmentInputs<'_>) {
        let mut sums = std::mem::take(&mut self.sums);
        sums.merge(other.sums.clone());
        if inputs.order(&other.example) < inputs.order(&self.example) {
            *self = other;
        }
        self.sums = sums;
    }
}

impl AssessmentInputs<'_> {
    /// Adds a flow to its connection. The note is that of the connection's first flow by [`Self::order`].
    pub(super) fn note_connection(
        &self,
        connections: &mut Connections<Noteworthy>,
        direction: Direction,
        policy: &PolicyRef,
        observation: &Observation<'_>,
        note: impl FnOnce() -> String,
    ) {
        let example = observation.outcome.pair;
        let connection = connections.entry(self, direction, &example);
        let is_first = connection.as_ref().is_none_or(|known| self.order(&example) < self.order(&known.example));
        if is_first {
            let sums = connection.take().map(|known| known.sums).unwrap_or_default();
            *connection = Some(Noteworthy { policy: policy.clone(), note: note(), example, sums });
        }
        let Some(connection) = connection else { return };
        for sighting in observation.sightings {
            connection.sums.add(observation.key.src, sighting, observation.shared);
        }
    }

    /// Names the policies that denied a flow before the change, for a flow that is denied after it as well.
    pub(super) fn already_denied_by(&self, policy: &PolicyRef, outcome: &FlowEffect) -> String {
        let named = Direction::BOTH.into_iter().flat_map(|direction| {
            let deniers = deniers(self.worlds.before, &outcome.at(direction).before);
            deniers.into_iter().map(move |denier| {
                let former = if denier.policy == *policy { " before this change" } else { "" };
                format!("{}{former} ({direction})", denier.policy)
            })
        });
        let named: Vec<String> = named.collect();
        let more = match named.len().saturating_sub(MOST_DENIERS) {
            0 => String::new(),
            more => format!(" and {}", count(more as u64, "more policy", "more policies")),
        };
        let named: Vec<String> = named.into_iter().take(MOST_DENIERS).collect();
        format!("already denied by {}{more}", named.join(", "))
    }
}
