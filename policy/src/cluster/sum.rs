//! Sums of what was seen of the same connection at both of its ends: each connection counts once.

use std::collections::{BTreeMap, HashMap};

use crate::cluster::ownership::End;
use crate::cluster::traffic::{Class, Sighting, Tally};
use foretell_objects::model::flow::Direction;

/// What was seen of one connection, by class.
#[derive(Clone, Debug, Default)]
pub struct Sums(BTreeMap<Class, HashMap<End, SourceTallies>>);

/// What each kind of observer saw of one source's connections.
#[derive(Clone, Debug, Default)]
struct SourceTallies {
    leaving: Option<Tally>,
    arriving: Option<Tally>,
    unknown: Option<Tally>,
    /// Leaving for a Service with backends of several workloads. Which of them answered is unknown, so it counts only where it was
    /// not recorded on arrival.
    for_any_backend: Option<Tally>,
}

impl Sums {
    /// Adds a sighting of connections that `src` opened. `shared`: it was to a Service, and other workloads stand behind it
    /// too.
    pub fn add(&mut self, src: End, sighting: &Sighting, shared: Sharing) {
        let seen = self.0.entry(sighting.class).or_default().entry(src).or_default();
        let slot = match (sighting.observed, shared) {
            (_, Sharing::AmongWorkloads) => &mut seen.for_any_backend,
            (Some(Direction::Egress), Sharing::None) => &mut seen.leaving,
            (Some(Direction::Ingress), Sharing::None) => &mut seen.arriving,
            (None, Sharing::None) => &mut seen.unknown,
        };
        match slot {
            Some(tally) => tally.add(&sighting.tally),
            None => *slot = Some(sighting.tally),
        }
    }

    /// Adds the sums of another connection.
    pub fn merge(&mut self, other: Self) {
        for (class, sources) in other.0 {
            let own = self.0.entry(class).or_default();
            for (src, tallies) in sources {
                own.entry(src).or_default().merge(&tallies);
            }
        }
    }

    /// The sum of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> Option<Tally> {
        let sources = self.0.get(&class)?.values().filter_map(SourceTallies::once);
        sources.reduce(|mut sum, tally| {
            sum.add(&tally);
            sum
        })
    }

    /// The sum of all classes.
    #[must_use]
    pub fn total(&self) -> Option<Tally> {
        self.0.keys().filter_map(|class| self.of(*class)).reduce(|mut sum, tally| {
            sum.add(&tally);
            sum
        })
    }
}

/// Whether connections to a Service may have gone to a workload other than the one that they are counted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// No: they were to the backend itself, or only one workload stands behind the Service.
    None,
    /// Yes.
    AmongWorkloads,
}

impl SourceTallies {
    fn merge(&mut self, other: &Self) {
        let Self { leaving, arriving, unknown, for_any_backend } = self;
        let pairs = [
            (leaving, other.leaving),
            (arriving, other.arriving),
            (unknown, other.unknown),
            (for_any_backend, other.for_any_backend),
        ];
        for (own, other) in pairs {
            match (own.as_mut(), other) {
                (Some(own), Some(other)) => own.add(&other),
                (None, Some(_)) => *own = other,
                (_, None) => {}
            }
        }
    }

    fn once(&self) -> Option<Tally> {
        let direct = [self.leaving, self.arriving, self.unknown].into_iter().flatten().reduce(|mut larger, tally| {
            larger.unite(&tally);
            larger
        });
        direct.or(self.for_any_backend)
    }
}
