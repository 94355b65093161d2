//! From a change and a window of traffic to the report: the worlds, what is asked of them, the gate.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::assessment::{Assessment, Case, Cause, Counts, Denied, Told, assess};
use crate::change::{Action, Compiled, Enforced, IdentityChange, Plan, PolicyChange};
use crate::cluster::Cluster;
use crate::cluster::pod::{Pod, gone_at};
use crate::cluster::service::{Service, ServiceId};
use crate::cluster::workload::Workload;
use crate::collation::Change;
use crate::compiled::PolicyRef;
use crate::denial::{DenialId, DenialKey};
use crate::dialect::Dialect;
use crate::effect::Worlds;
use crate::evidence::Watch;
use crate::gate;
use crate::naming::Party;
use crate::object::Object;
use crate::population::Population;
use crate::report::{
    CauseReport, Decision, Denial, ExceptionReport, NotJudgedFile, PolicyReport, PromotionReport, Relation, Report,
    SCHEMA_VERSION, SeenTraffic, State, UndecidedPart, Verdicts,
};
use crate::sum::Sums;
use crate::traffic::{Class, Traffic};
use crate::world::World;

mod dialects;
mod evidence;
mod mends;
mod unknown;

/// Everything that an answer depends on.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The index of the snapshot, with the node addresses that reports told.
    pub cluster: &'a Cluster,
    /// The snapshot's objects.
    pub snapshot: &'a [Object],
    /// The change.
    pub change: &'a Change,
    /// The window's traffic.
    pub traffic: &'a Traffic,
    /// Who watched.
    pub watch: &'a Watch,
    /// Name of the base.
    pub base: String,
    /// Name of the head.
    pub head: String,
    /// The clock, and the end of the window.
    pub at: Timestamp,
    /// The start of the window.
    pub from: Timestamp,
    /// How long the subjects' nodes must have been watched.
    pub min_window: Option<SignedDuration>,
    /// Whether exceptions count only once they are on the base.
    pub exceptions_on_base_only: bool,
    /// Lines of flows that were skipped because they could not be read.
    pub bad_lines: u64,
    /// Whose meaning of policies counts.
    pub dialect: Dialect,
}

/// Judges a change.
#[must_use]
pub fn judge(inputs: &Inputs<'_>) -> Report {
    let mut plan = Plan::of(inputs.snapshot, inputs.change);
    let mut notes = Vec::new();
    if inputs.exceptions_on_base_only {
        hold_back_new_exceptions(&mut plan, &mut notes);
    }
    let population = |head| Arc::new(Population::overlaid(inputs.cluster, inputs.at, &plan.base, head));
    let world = |population, enforced: &Enforced| {
        let policies = enforced.network_policies.clone();
        World::in_dialect(inputs.dialect, population, policies).under(enforced.administrators.clone())
    };
    let before = world(population(&plan.base), &plan.before);
    let after = world(population(&plan.head), &plan.after);
    let workloads = existing(inputs, &plan);
    let judgement = Judgement { inputs, plan: &plan, before: &before, after: &after, workloads };

    let enforced = judgement.assess_enforced();
    let denials = judgement.denials(&enforced);
    let mut scratch = Scratch { with: after.clone(), mended: after.clone() };
    let policies = plan.enforced.iter().map(|change| PolicyReport {
        mend: judgement.mend(change, &after, &mut scratch.mended, &denials),
        ..judgement.policy_report(change, &enforced)
    });
    let policies = policies.collect();
    let previews: Vec<PolicyReport> =
        plan.audited.iter().map(|change| judgement.preview(change, &mut scratch)).collect();
    let newly_allowed = relations(enforced.newly_allowed.iter());
    let previewed = previews.iter().flat_map(|preview| &preview.denials);
    let exceptions = judgement.exceptions(&denials.iter().chain(previewed).collect::<Vec<_>>());
    let evidence = judgement.evidence();
    notes.extend(judgement.notes());
    notes.extend(judgement.enforcer_note());

    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        decision: Decision::MayMerge,
        exit_status: 0,
        headline: String::new(),
        reasons: Vec::new(),
        base: inputs.base.clone(),
        head: inputs.head.clone(),
        at: inputs.at,
        cni: inputs.dialect,
        dialects: judgement.dialects(),
        undecided: undecided(inputs.change).into_iter().chain(judgement.unknown(&enforced)).collect(),
        policies,
        previews,
        identities: plan.identities.clone(),
        exceptions,
        denials,
        newly_allowed,
        evidence,
        not_judged: not_judged(inputs.change),
        notes,
    };
    gate::decide(&mut report, plan.is_enforced());
    report
}

fn undecided(change: &Change) -> Vec<UndecidedPart> {
    let parts = change.undecided.iter();
    parts.map(|it| UndecidedPart { places: it.places.clone(), what: it.what.clone(), mend: it.mend.clone() }).collect()
}

fn not_judged(change: &Change) -> Vec<NotJudgedFile> {
    change.not_judged.iter().map(|it| NotJudgedFile { file: it.file.clone(), why: it.why.clone() }).collect()
}

/// The workloads that run or may run again: those of running pods, controllers in the snapshot, and what Git holds. A snapshot
/// without any CronJob was made without them, so each that had a pod is taken to be there.
fn existing(inputs: &Inputs<'_>, plan: &Plan) -> HashSet<Workload> {
    let Inputs { cluster, snapshot, at, .. } = *inputs;
    let mut workloads: HashSet<Workload> = plan.head.templates.keys().cloned().collect();
    let there = snapshot.iter().filter(|object| gone_at(object.metadata()).is_none_or(|gone| at < gone));
    workloads.extend(there.flat_map(Workload::controllers));
    let knows_cron_jobs = snapshot.iter().any(|object| matches!(object, Object::CronJob(_)));
    let remains = |pod: &Pod| pod.life.contains(at) || (!knows_cron_jobs && pod.workload.kind == "CronJob");
    workloads.extend(cluster.pods().filter(|(_, pod)| remains(pod)).map(|(_, pod)| pod.workload.clone()));
    workloads
}

fn hold_back_new_exceptions(plan: &mut Plan, notes: &mut Vec<String>) {
    plan.exceptions.retain(|exception| {
        if exception.in_change {
            notes.push(format!(
                "AuditException {}/{} does not count yet: the base requires that exceptions are merged first",
                exception.namespace, exception.name
            ));
        }
        !exception.in_change
    });
}

/// The world after the change, twice, for one policy at a time.
struct Scratch<'c> {
    with: World<'c>,
    mended: World<'c>,
}

struct Judgement<'a, 'w, 'c> {
    inputs: &'a Inputs<'c>,
    plan: &'a Plan,
    before: &'w World<'c>,
    after: &'w World<'c>,
    /// The workloads that still exist.
    workloads: HashSet<Workload>,
}

impl Judgement<'_, '_, '_> {
    fn assess(&self, before: &World<'_>, after: &World<'_>, changed: &BTreeSet<PolicyRef>) -> Assessment {
        let case = Case {
            worlds: Worlds { before, after, at: self.inputs.at },
            changed,
            exceptions: &self.plan.exceptions,
            promoted_from: &self.plan.promoted_from,
        };
        assess(&case, self.inputs.traffic, self.inputs.at)
    }

    fn assess_enforced(&self) -> Assessment {
        let changed = self.plan.enforced.iter().map(|change| change.reference.clone()).collect();
        self.assess(self.before, self.after, &changed)
    }

    /// An audit policy alone, over what is enforced once the change is merged.
    fn preview(&self, change: &PolicyChange, scratch: &mut Scratch<'_>) -> PolicyReport {
        let Compiled::Policy(policy) = &change.compiled else {
            return self.policy_report(change, &Assessment::default());
        };
        if change.action == Action::Removed {
            return self.policy_report(change, &Assessment::default());
        }
        let Scratch { with, mended } = scratch;
        let (assessment, denials, mend) = with.trying(policy, |with| {
            let assessment = self.assess(self.after, with, &BTreeSet::from([change.reference.clone()]));
            let denials = self.denials(&assessment);
            let mend = self.mend(change, with, mended, &denials);
            (assessment, denials, mend)
        });
        let mut report = self.policy_report(change, &assessment);
        report.notes.extend(self.unknown(&assessment).into_iter().map(|part| part.what));
        PolicyReport { denials, mend, ..report }
    }

    fn policy_report(&self, change: &PolicyChange, assessment: &Assessment) -> PolicyReport {
        let selected = self.selected(change);
        let cluster = self.inputs.cluster;
        let workloads: BTreeSet<Party> =
            selected.iter().map(|pod| Party::workload(&cluster.pod(*pod).workload)).collect();
        let counts = assessment.counts.get(&change.reference).copied().unwrap_or_default();
        let is_own = |(_, told): &(&DenialKey, &Told)| told.policy == change.reference;
        let mut notes = Vec::new();
        if change.action != Action::Removed {
            if selected.is_empty() && counts != Counts::default() {
                notes.push(
                    "it selects no pod that runs now; the traffic is that of pods that ran in the window".to_owned(),
                );
            } else if selected.is_empty() {
                notes.push("it selects no pod that runs today, so it denies nobody today".to_owned());
            } else if counts == Counts::default() {
                notes.push("no traffic in use of the pods that it selects was seen in the window".to_owned());
            }
        }
        PolicyReport {
            policy: change.reference.clone(),
            action: change.action,
            place: change.place.clone(),
            promotion: change.promotion.as_ref().map(|promotion| PromotionReport {
                from: promotion.from.clone(),
                identical: promotion.differences.as_ref().map(Vec::is_empty),
                differences: promotion.differences.clone().unwrap_or_default(),
            }),
            selected_pods: selected.len() as u64,
            selected_workloads: workloads.into_iter().collect(),
            verdicts: Verdicts {
                allow: counts.allowed,
                exempt: counts.exempt,
                would_deny: counts.would_deny,
                newly_denied: counts.newly_denied,
                still_allowed: counts.still_allowed,
                still_denied: counts.still_denied,
                unknown: counts.unknown,
            },
            denials: Vec::new(),
            still_allowed: relations(assessment.still_allowed.iter().filter(is_own)),
            still_denied: relations(assessment.still_denied.iter().filter(is_own)),
            mend: None,
            notes,
        }
    }

    fn denials(&self, assessment: &Assessment) -> Vec<Denial> {
        let mut denials: Vec<Denial> =
            assessment.denied.iter().filter_map(|(key, denied)| self.denial(key, denied)).collect();
        denials.sort_by(|a, b| a.state.cmp(&b.state).then(b.seen.in_use.cmp(&a.seen.in_use)));
        denials
    }

    fn denial(&self, key: &DenialKey, denied: &Denied) -> Option<Denial> {
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
        let (cause, caused_by) = match denied.cause {
            Cause::Policy => (CauseReport::Policy, Vec::new()),
            Cause::Removal => (CauseReport::Removal, Vec::new()),
            Cause::Identity => (CauseReport::Identity, self.caused_by(key)),
        };
        Some(Denial {
            id: key.id(),
            state,
            policy: denied.policy.clone(),
            direction: key.direction,
            subject: key.subject.clone(),
            peer: key.peer.clone(),
            protocol: key.protocol,
            port: key.port,
            seen,
            reason: denied.reason.to_owned(),
            nearest: denied.nearest.clone(),
            message: denied.message.clone(),
            cause,
            caused_by,
            accepted_by: names(&denied.accepted_by),
            expired_exceptions: names(&denied.expired),
        })
    }

    /// Whether nobody is left whom a policy could deny.
    fn is_gone(&self, subject: &Party) -> bool {
        match subject.clone() {
            Party::Workload { namespace, kind, name } => !self.workloads.contains(&Workload { namespace, kind, name }),
            Party::Address { .. } => false,
        }
    }

    /// The changed objects that change what selectors see of a denial's ends, or whom a Service leads to.
    fn caused_by(&self, key: &DenialKey) -> Vec<String> {
        let ends = [&key.subject, &key.peer];
        let behind = |id: ServiceId| {
            let worlds = [self.before, self.after].into_iter();
            let pods = worlds.flat_map(move |world| world.population().behind(id).pods());
            pods.map(|pod| Party::workload(&self.inputs.cluster.pod(pod).workload))
        };
        let mut concerned: BTreeSet<Party> = ends.into_iter().cloned().collect();
        let mut services: BTreeSet<(&str, &str)> = BTreeSet::new();
        for (id, service) in self.inputs.cluster.services() {
            let is_end = |end: &&Party| match end {
                Party::Address { cidr, .. } => service.addresses.contains(&cidr.addr()),
                Party::Workload { .. } => false,
            };
            // Where a Service leads to nobody any more, its address is an end: those whom it led to may be why.
            let is_dialled = ends.iter().any(is_end);
            if is_dialled {
                concerned.extend(behind(id));
            }
            if is_dialled || behind(id).any(|party| ends.contains(&&party)) {
                services.insert((&service.namespace, &service.name));
            }
        }
        let concerns = |change: &&IdentityChange| match change.kind.as_str() {
            "Namespace" => concerned
                .iter()
                .any(|party| matches!(party, Party::Workload { namespace, .. } if *namespace == change.name)),
            "Service" => services.contains(&(change.namespace.as_str(), change.name.as_str())),
            kind => concerned.contains(&Party::Workload {
                namespace: change.namespace.clone(),
                kind: kind.to_owned(),
                name: change.name.clone(),
            }),
        };
        let causes = self.plan.identities.iter().filter(concerns);
        causes.map(|change| format!("{}: {}", change.title(), change.differences.join(", "))).collect()
    }

    fn exceptions(&self, denials: &[&Denial]) -> Vec<ExceptionReport> {
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

    /// Nodes that the change touches, and Services that it leaves without any of the pods that stood behind them.
    fn notes(&self) -> Vec<String> {
        let (old, new) = (self.before.population(), self.after.population());
        let nodes = self.plan.nodes.iter();
        let nodes =
            nodes.map(|name| format!("the change touches Node {name}, which is judged as it stands in the cluster"));
        let services = self.inputs.cluster.services();
        let emptied = services
            .filter(|(id, _)| old.behind(*id).pods().next().is_some() && new.behind(*id).pods().next().is_none());
        let emptied = emptied.map(|(_, service)| {
            let Service { namespace, name, .. } = service;
            format!("Service {namespace}/{name} selects none of the pods any more that stand behind it today")
        });
        nodes.chain(emptied).collect()
    }
}

fn relations<'r>(told: impl Iterator<Item = (&'r DenialKey, &'r Told)>) -> Vec<Relation> {
    told.filter_map(|(key, told)| {
        Some(Relation {
            policy: told.policy.clone(),
            direction: key.direction,
            subject: key.subject.clone(),
            peer: key.peer.clone(),
            protocol: key.protocol,
            port: key.port,
            seen: seen(&told.sums)?,
            note: told.note.clone(),
        })
    })
    .collect()
}

fn seen(sums: &Sums) -> Option<SeenTraffic> {
    let total = sums.total()?;
    let in_use = sums.of(Class::InUse);
    // A connection that was opened before counts none where it goes on: it is in use all the same.
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
