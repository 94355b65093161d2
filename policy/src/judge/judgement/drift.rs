//! Policies of the base that are not in the snapshot as Git has them, and that traffic in use contradicts.
//!
//! The base counts as applied, since a pipeline applies it sooner or later. Traffic that the base would deny and the snapshot would
//! not is evidence that the policy is not in force. Such a policy must not excuse a denial as one that exists already, so it counts
//! as the snapshot has it.

use std::collections::{BTreeMap, BTreeSet};

use crate::change::plan::{Compiled, Plan};
use crate::cluster::party::{Party, from_to};
use crate::cluster::traffic::Class;
use crate::engine::effect::Worlds;
use crate::engine::world::World;
use crate::judge::assessment::outside::OutsideRanges;
use crate::judge::assessment::{AssessmentInputs, assess};
use crate::judge::judgement::Inputs;
use crate::report::connection::Denial;
use crate::report::data::DriftReport;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;

/// From where, to where, and on which port.
type Connection = (Party, Party, Protocol, u16);

type Connections = BTreeSet<Connection>;

/// A policy that traffic contradicts.
pub(super) struct Contradicted {
    report: DriftReport,
    connections: Connections,
}

/// Takes each policy that traffic contradicts as the snapshot has it, in the worlds before and after the change. Returns these
/// policies. `before` is the world of the base.
pub(super) fn apply(inputs: &Inputs<'_>, plan: &mut Plan, before: &World<'_>) -> Vec<Contradicted> {
    let judges_nothing = !plan.is_enforced() && plan.audited.is_empty();
    if plan.drift.is_empty() || judges_nothing {
        return Vec::new();
    }
    let mut contradicting = contradicting(inputs, plan, before);
    let drifts = std::mem::take(&mut plan.drift);
    let mut contradicted = Vec::new();
    for drift in &drifts {
        let Some(connections) = contradicting.remove(&drift.reference) else { continue };
        plan.before.set_as_deployed(drift);
        if drift.untouched {
            plan.after.set_as_deployed(drift);
        }
        let report = DriftReport {
            policy: drift.reference.clone(),
            place: drift.place.clone(),
            in_snapshot: drift.deployed.is_some(),
            connections: connections.len() as u64,
        };
        contradicted.push(Contradicted { report, connections });
    }
    plan.drift = drifts;
    contradicted
}

/// The policies that would have excused one of these denials.
pub(super) fn relevant<'d>(
    contradicted: Vec<Contradicted>,
    denials: impl Iterator<Item = &'d Denial>,
) -> Vec<DriftReport> {
    if contradicted.is_empty() {
        return Vec::new();
    }
    let denied: BTreeSet<_> = denials
        .map(|it| of_workloads(&connection(it.direction, &it.subject, &it.peer, it.protocol, it.port)))
        .collect();
    let is_relevant = |it: &Contradicted| it.connections.iter().any(|its| denied.contains(&of_workloads(its)));
    contradicted.into_iter().filter(is_relevant).map(|it| it.report).collect()
}

/// A connection without its addresses, since many of them become ranges.
fn of_workloads((from, to, protocol, port): &Connection) -> (Option<Party>, Option<Party>, Protocol, u16) {
    let workload = |party: &Party| Some(party.clone()).filter(|party| matches!(party, Party::Workload { .. }));
    (workload(from), workload(to), *protocol, *port)
}

fn connection(direction: Direction, subject: &Party, peer: &Party, protocol: Protocol, port: u16) -> Connection {
    let (from, to) = from_to(direction, subject, peer);
    (from.clone(), to.clone(), protocol, port)
}

/// The connections in use that each policy of the base would deny and the snapshot does not: those that applying the base to the
/// cluster would newly deny.
fn contradicting(inputs: &Inputs<'_>, plan: &Plan, before: &World<'_>) -> BTreeMap<PolicyRef, Connections> {
    let mut deployed = before.clone();
    let mut enforced = plan.before.clone();
    for drift in &plan.drift {
        enforced.set_as_deployed(drift);
        match &drift.deployed {
            Some(Compiled::Policy(policy)) => _ = deployed.set(policy),
            Some(Compiled::AdminPolicy(_)) | None => deployed.remove(&drift.reference),
        }
    }
    let deployed = deployed.with_admin_policies(enforced.admin_policies);
    let changed = plan.drift.iter().map(|drift| drift.reference.clone()).collect();
    let assessment = assess(
        &AssessmentInputs {
            worlds: Worlds { before: &deployed, after: before, at: inputs.at },
            changed: &changed,
            exceptions: &[],
            ranges: &OutsideRanges::default(),
            promoted_from: &plan.promoted_from,
        },
        inputs.traffic,
    );
    let mut connections: BTreeMap<PolicyRef, Connections> = BTreeMap::new();
    for (key, denied, _) in assessment.denied.iter().filter(|(_, denied, _)| denied.sums.of(Class::InUse).is_some()) {
        let connection = connection(key.direction, &key.subject, &key.peer, key.protocol, key.port);
        for policy in denied.policies.keys() {
            connections.entry(policy.clone()).or_default().insert(connection.clone());
        }
    }
    connections
}
