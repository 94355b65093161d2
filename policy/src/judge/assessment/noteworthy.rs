//! Connections that the report lists for information, with sums of their traffic.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::cluster::sum::Sums;
use crate::engine::effect::FlowEffect;
use crate::judge::assessment::attribution::deniers;
use crate::judge::assessment::{AssessmentInputs, Noteworthy, Observation};
use crate::report::denial::DenialKey;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;

/// How many policies are named that already deny a flow.
const MOST_DENIERS: usize = 3;

impl AssessmentInputs<'_> {
    /// Adds a flow to the connection of its key. The note is that of the connection's first flow by [`Self::order`].
    pub(super) fn note_connection(
        &self,
        connections: &mut BTreeMap<DenialKey, Noteworthy>,
        key: DenialKey,
        policy: &PolicyRef,
        observation: &Observation<'_>,
        note: impl FnOnce() -> String,
    ) {
        let example = observation.outcome.pair;
        let connection = match connections.entry(key) {
            Entry::Vacant(vacant) => {
                vacant.insert(Noteworthy { policy: policy.clone(), note: note(), example, sums: Sums::default() })
            }
            Entry::Occupied(occupied) => {
                let known = occupied.into_mut();
                if self.order(&example) < self.order(&known.example) {
                    (known.note, known.example) = (note(), example);
                }
                known
            }
        };
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
