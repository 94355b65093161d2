//! Connections that are told and block nothing, summed.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::cluster::sum::Sums;
use crate::engine::effect::FlowEffect;
use crate::judge::assessment::attribution::deniers;
use crate::judge::assessment::{AssessmentInputs, Noteworthy, Observation};
use crate::model::flow::Direction;
use crate::model::policy_ref::PolicyRef;
use crate::model::words::count;
use crate::report::denial::DenialKey;

impl AssessmentInputs<'_, '_, '_> {
    /// Notes a flow of a connection. The note is made where the flow is the one by which the connection is told.
    pub(super) fn note_told(
        &self,
        told: &mut BTreeMap<DenialKey, Noteworthy>,
        key: DenialKey,
        policy: &PolicyRef,
        seen: &Observation<'_>,
        note: impl FnOnce() -> String,
    ) {
        let example = seen.outcome.pair;
        let told = match told.entry(key) {
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
        for sighting in seen.sightings {
            told.sums.add(seen.key.src, sighting, seen.shared);
        }
    }

    /// Who denied a flow before the change that is denied after it too.
    pub(super) fn denied_already(&self, policy: &PolicyRef, outcome: &FlowEffect) -> String {
        let named = Direction::BOTH.into_iter().flat_map(|direction| {
            let deniers = deniers(self.worlds.before, &outcome.at(direction).before);
            deniers.into_iter().map(move |denier| {
                let former = if denier.policy == *policy { " as it was before" } else { "" };
                format!("{}{former} ({direction})", denier.policy)
            })
        });
        let named: Vec<String> = named.collect();
        let more = match named.len().saturating_sub(MOST_DENIERS) {
            0 => String::new(),
            more => format!(" and {}", count(more as u64, "more policy", "more policies")),
        };
        let named: Vec<String> = named.into_iter().take(MOST_DENIERS).collect();
        format!("denied already by {}{more}", named.join(", "))
    }
}

/// How many policies are named that deny a flow already.
const MOST_DENIERS: usize = 3;
