//! Denials and other connections as the report has them.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::change::plan::IdentityChange;
use crate::cluster::party::Party;
use crate::cluster::service::ServiceId;
use crate::cluster::sum::Sums;
use crate::cluster::traffic::Class;
use crate::cluster::workload::Workload;
use crate::judge::assessment::connections::Connections;
use crate::judge::assessment::{Assessment, DeniedConnection, Noteworthy};
use crate::judge::judgement::Judgement;
use crate::policy::network_policy::Failed;
use crate::report::connection::{Connection, Denial, DenialCause, DenyingPolicy, SeenAddresses, SeenTraffic, State};
use crate::report::data::ExceptionReport;
use crate::report::denial::{ConnectionKey, DenialId};
use foretell_objects::model::policy_ref::PolicyRef;

impl Judgement<'_> {
    pub(super) fn denials(&self, assessment: &Assessment) -> Vec<Denial> {
        let mut denials: Vec<Denial> =
            assessment.denied.iter().filter_map(|(key, denied, seen)| self.denial(key, denied, seen)).collect();
        denials.sort_by(|a, b| a.state.cmp(&b.state).then(b.seen.in_use.cmp(&a.seen.in_use)));
        denials
    }

    fn denial(&self, key: &ConnectionKey, denied: &DeniedConnection, addresses: &BTreeSet<IpAddr>) -> Option<Denial> {
        let seen = seen(&denied.sums)?;
        let state = if self.is_gone(&key.subject) {
            State::Gone
        } else if seen.in_use > 0 {
            if denied.uncovered { State::Unresolved } else { State::Accepted }
        } else if seen.guessed > 0 {
            State::Guessed
        } else {
            State::NotInUse
        };
        let names = |indexes: &BTreeSet<usize>| {
            let exceptions = indexes.iter().filter_map(|index| self.plan.exceptions.get(*index));
            exceptions.map(|exception| format!("{}/{}", exception.namespace, exception.name)).collect()
        };
        let mut policies: Vec<DenyingPolicy> = denied.policies.values().map(|denial| denial.why.clone()).collect();
        policies.sort_by_key(distance);
        let is_by_identity = policies.iter().any(|policy| policy.cause == DenialCause::Identity);
        let changes = if is_by_identity { self.identity_changes(key) } else { Vec::new() };
        for policy in policies.iter_mut().filter(|policy| policy.cause == DenialCause::Identity) {
            policy.summary.push_str(&because_of(&changes));
        }
        let caused_by = changes.iter().map(|it| format!("{}: {}", it.title(), it.differences.join(", "))).collect();
        Some(Denial {
            id: key.denial_id(),
            state,
            direction: key.direction,
            subject: key.subject.clone(),
            peer: key.peer.clone(),
            protocol: key.protocol,
            port: key.port,
            seen,
            addresses: seen_addresses(addresses),
            policies,
            other_policies: denied.other_policies.iter().cloned().collect(),
            caused_by,
            accepted_by: names(&denied.accepted_by),
            expired_exceptions: names(&denied.expired),
        })
    }

    /// Whether the workload neither runs nor may run again, so that no policy can deny it anything.
    pub(super) fn is_gone(&self, subject: &Party) -> bool {
        match subject.clone() {
            Party::Workload { namespace, kind, name } => !self.workloads.contains(&Workload { namespace, kind, name }),
            Party::Address { .. } | Party::Range { .. } => false,
        }
    }

    /// The changes of workloads, Namespaces and Services that concern a denial's ends.
    fn identity_changes(&self, key: &ConnectionKey) -> Vec<&IdentityChange> {
        let ends = [&key.subject, &key.peer];
        let behind = |id: ServiceId| {
            let worlds = [self.before, self.after].into_iter();
            let pods = worlds.flat_map(move |world| world.identities().targets(id).pods());
            pods.map(|pod| Party::workload(&self.inputs.cluster.pod(pod).workload))
        };
        let mut concerned: BTreeSet<Party> = ends.into_iter().cloned().collect();
        let mut services: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (id, service) in self.inputs.cluster.services() {
            let is_end = |end: &&Party| match end {
                Party::Address { cidr, .. } => service.addresses.contains(&cidr.addr()),
                Party::Workload { .. } | Party::Range { .. } => false,
            };
            // The address of a Service without backends is an end itself. The pods that it had before may be the cause.
            let is_dialled = ends.iter().any(is_end);
            if is_dialled {
                concerned.extend(behind(id));
            }
            if is_dialled || behind(id).any(|party| ends.contains(&&party)) {
                services.insert((&service.namespace, &service.name));
            }
        }
        // The template of an owner further up defines the pods too.
        let cluster = self.inputs.cluster;
        let owned = cluster.pods().filter(|(_, pod)| !pod.managers.is_empty());
        let owned: Vec<_> = owned.filter(|(_, pod)| concerned.contains(&Party::workload(&pod.workload))).collect();
        concerned.extend(owned.iter().flat_map(|(_, pod)| &pod.managers).map(Party::workload));
        let concerns = |change: &&IdentityChange| match change.kind.as_str() {
            "Namespace" => concerned
                .iter()
                .any(|party| matches!(party, Party::Workload { namespace, .. } if *namespace == change.name)),
            "Service" | "Endpoints" => services.contains(&(change.namespace.as_str(), change.name.as_str())),
            // It names its Service by a label.
            "EndpointSlice" => services.iter().any(|(namespace, _)| *namespace == change.namespace),
            kind => concerned.contains(&Party::Workload {
                namespace: change.namespace.clone(),
                kind: kind.split('.').next().unwrap_or_default().to_owned(),
                name: change.name.clone(),
            }),
        };
        self.plan.identities.iter().filter(concerns).collect()
    }

    pub(super) fn exceptions(&self, denials: &[&Denial]) -> Vec<ExceptionReport> {
        let mut reports: Vec<ExceptionReport> = Vec::new();
        for exception in &self.plan.exceptions {
            let name = format!("{}/{}", exception.namespace, exception.name);
            let accepts: Vec<DenialId> = denials
                .iter()
                .filter(|denial| denial.accepted_by.contains(&name))
                .map(|denial| denial.id.clone())
                .collect();
            if accepts.is_empty() && !exception.in_change {
                continue;
            }
            reports.push(ExceptionReport {
                namespace: exception.namespace.clone(),
                name: exception.name.clone(),
                reason: exception.reason.clone(),
                expires_at: exception.expires_at,
                in_change: exception.in_change,
                accepts,
            });
        }
        reports.sort_by_key(|report| !report.in_change);
        reports
    }
}

/// ` (Deployment shop/web changed)`; empty if no such object causes the denial.
fn because_of(changes: &[&IdentityChange]) -> String {
    match changes {
        [] => String::new(),
        [one] => format!(" ({} changed)", one.title()),
        [first, others @ ..] => format!(" ({} and {} more changed)", first.title(), others.len()),
    }
}

/// How far a policy is from allowing the connection, to sort by: what the change causes by itself comes first, then a rule of which
/// one part fails, then a rule of which both fail, then a policy without rules.
fn distance(policy: &DenyingPolicy) -> (DenialCause, u8, PolicyRef) {
    let parts = match policy.nearest.as_ref().map(|nearest| nearest.mismatch.failed) {
        Some(Failed::Peer | Failed::Port) => 0,
        Some(Failed::PeerAndPort) => 1,
        None => 2,
    };
    (policy.cause, parts, policy.policy.clone())
}

/// How many addresses of a range are listed.
const SAMPLES: usize = 3;

fn seen_addresses(addresses: &BTreeSet<IpAddr>) -> Option<SeenAddresses> {
    let samples = addresses.iter().take(SAMPLES).copied().collect();
    (!addresses.is_empty()).then_some(SeenAddresses { count: addresses.len() as u64, samples })
}

pub(super) fn connections(noteworthy: &Connections<Noteworthy>) -> Vec<Connection> {
    noteworthy.iter().filter_map(connection).collect()
}

pub(super) fn connection((key, it, addresses): (&ConnectionKey, &Noteworthy, &BTreeSet<IpAddr>)) -> Option<Connection> {
    Some(Connection {
        policy: it.policy.clone(),
        direction: key.direction,
        subject: key.subject.clone(),
        peer: key.peer.clone(),
        protocol: key.protocol,
        port: key.port,
        seen: seen(&it.sums)?,
        addresses: seen_addresses(addresses),
        note: it.note.clone(),
    })
}

/// `None` if nothing was recorded.
pub(super) fn seen(sums: &Sums) -> Option<SeenTraffic> {
    let total = sums.total()?;
    let in_use = sums.of(Class::InUse);
    // A flow record counts connections that open in it. One that was opened before is in use as well.
    let connections = |class| sums.of(class).map_or(0, |tally| tally.connections.max(1));
    Some(SeenTraffic {
        in_use: connections(Class::InUse),
        guessed: connections(Class::Guessed),
        refused: connections(Class::Refused),
        unanswered: connections(Class::Unanswered),
        packets: total.packets,
        bytes: total.bytes,
        first_seen: in_use.unwrap_or(total).first,
        last_seen: in_use.unwrap_or(total).last,
    })
}
