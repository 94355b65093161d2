//! From a change and a window of traffic to the report.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};

use crate::change::plan::{ChangeAction, Compiled, Enforced, Plan, PolicyChange};
use crate::change::revisions::Change;
use crate::cluster::evidence::Watch;
use crate::cluster::inventory::Cluster;
use crate::cluster::party::Party;
use crate::cluster::pod::{Pod, PodId, gone_at};
use crate::cluster::secondary::NETWORK_STATUS;
use crate::cluster::service::Service;
use crate::cluster::traffic::Traffic;
use crate::cluster::workload::Workload;
use crate::engine::effect::Worlds;
use crate::engine::identities::Identities;
use crate::engine::overlay::Overlay;
use crate::engine::world::World;
use crate::judge::assessment::connections::Connections;
use crate::judge::assessment::outside::OutsideRanges;
use crate::judge::assessment::{Assessment, AssessmentInputs, Noteworthy, VerdictCounts, assess};
use crate::judge::gate;
use crate::judge::judgement::denials::connections;
use crate::report::data::{Decision, NotJudgedFile, Report, SCHEMA_VERSION};
use crate::report::policies::{PolicyReport, PromotionReport, Verdicts};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::count;
use foretell_objects::resource::object::Object;

mod denials;
mod dialects;
mod drift;
mod evidence;
mod fixes;
mod host_bits;
mod missing;
mod missing_namespaces;
mod other_policies;
mod removed;
mod unapplied;
mod unknown;

/// Everything that a report depends on.
#[derive(Clone, Debug)]
pub struct Inputs<'a> {
    /// The cluster as the snapshot records it, with the node addresses from the reports of agents.
    pub cluster: &'a Cluster,
    /// The snapshot's objects.
    pub snapshot: &'a [Object],
    /// The change.
    pub change: &'a Change,
    /// The traffic of the window.
    pub traffic: &'a Traffic,
    /// Which nodes were watched, and when.
    pub watch: &'a Watch,
    /// Name of the base in the report.
    pub base: String,
    /// Name of the head in the report.
    pub head: String,
    /// The time that counts as now, and the end of the window.
    pub at: Timestamp,
    /// The start of the window.
    pub from: Timestamp,
    /// How long the nodes of affected pods must have been watched; `None`: any time will do.
    pub min_window: Option<SignedDuration>,
    /// Whether exceptions count only once they are on the base.
    pub exceptions_on_base_only: bool,
    /// Lines of flows that were skipped because they could not be read.
    pub bad_lines: u64,
    /// The enforcer whose reading of policies is applied.
    pub dialect: Dialect,
    /// Names for ranges of addresses outside of the cluster.
    pub ranges: BTreeMap<String, IpNet>,
}

/// Judges a change: evaluates the traffic of a window before and after it, attributes denials to policies, applies exceptions, and
/// decides.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use foretell_policy::change::revisions::{Change, Place, Sourced};
/// use foretell_policy::cluster::evidence::Watch;
/// use foretell_policy::cluster::inventory::Cluster;
/// use foretell_policy::cluster::traffic::Traffic;
/// use foretell_policy::judge::judgement::{Inputs, judge};
/// use foretell_objects::model::dialect::Dialect;
/// use foretell_objects::model::flow::Line;
/// use foretell_policy::report::data::Decision;
/// use foretell_objects::resource::object::Object;
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::{Value, json};
///
/// fn object(manifest: Value) -> Object {
///     read(manifest, &Origin::Cluster).expect("a valid object").expect("a kind that counts")
/// }
/// let pod = |name: &str, ip: &str| {
///     object(json!({
///         "apiVersion": "v1", "kind": "Pod",
///         "metadata": {"name": name, "namespace": "shop", "uid": name, "labels": {"app": name}},
///         "spec": {"containers": [{"name": "main", "image": "example"}]},
///         "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]},
///     }))
/// };
/// // A cluster of two pods, one of which was seen to call the other.
/// let snapshot = [pod("web", "10.0.0.1"), pod("cart", "10.0.0.2")];
/// let cluster = Cluster::build(&snapshot);
/// let (from, at) = ("2026-11-14T12:00:00Z".parse()?, "2026-11-21T12:00:00Z".parse()?);
/// let mut traffic = Traffic::default();
/// let line = br#"{"start": "2026-11-21T11:00:00Z", "end": "2026-11-21T11:00:00Z", "src": {"ip": "10.0.0.1"},
///     "dst": {"ip": "10.0.0.2"}, "protocol": "TCP", "port": 8080, "outcome": "established"}"#;
/// if let Line::Flow(flow) = Line::parse(line)? {
///     traffic.add(&flow, &cluster, from, at);
/// }
///
/// // The change adds a policy that allows `cart` nothing.
/// let policy = object(json!({
///     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
///     "metadata": {"name": "deny", "namespace": "shop"},
///     "spec": {"podSelector": {"matchLabels": {"app": "cart"}}, "policyTypes": ["Ingress"]},
/// }));
/// let place = Place { file: "deny.yaml".to_owned(), document: 1, item: String::new() };
/// let change = Change { after: vec![Sourced { object: policy, place }], ..Change::default() };
///
/// let report = judge(&Inputs {
///     cluster: &cluster,
///     snapshot: &snapshot,
///     change: &change,
///     traffic: &traffic,
///     watch: &Watch::default(),
///     base: "main".to_owned(),
///     head: "topic".to_owned(),
///     at,
///     from,
///     min_window: None,
///     exceptions_on_base_only: false,
///     bad_lines: 0,
///     dialect: Dialect::UPSTREAM,
///     ranges: BTreeMap::new(),
/// });
/// assert_eq!(report.decision, Decision::Blocked);
/// assert_eq!(report.headline, "Blocked: 1 connection in use would be denied");
/// assert_eq!(report.denials[0].policies[0].summary, "no ingress rules");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use]
pub fn judge(inputs: &Inputs<'_>) -> Report {
    let mut plan = Plan::of(inputs.snapshot, inputs.change);
    let mut notes = Vec::new();
    if inputs.exceptions_on_base_only {
        hold_back_new_exceptions(&mut plan, &mut notes);
    }
    let identities =
        |base: &Overlay, head: &Overlay| Arc::new(Identities::overlaid(inputs.cluster, inputs.at, base, head));
    let world = |identities, enforced: &Enforced| {
        let policies = enforced.network_policies.clone();
        World::in_dialect(inputs.dialect, inputs.cluster, identities, policies)
            .with_admin_policies(enforced.admin_policies.clone())
    };
    let mut before = world(identities(&plan.base, &plan.base), &plan.before);
    let drift = drift::apply(inputs, &mut plan, &before);
    if !drift.is_empty() {
        before = world(identities(&plan.base, &plan.base), &plan.before);
    }
    let after = world(identities(&plan.base, &plan.head), &plan.after);
    let workloads = existing(inputs, &plan);
    let ranges = OutsideRanges::new(&inputs.ranges, [&before, &after].into_iter().flat_map(blocks));
    let in_missing_namespaces = missing_namespaces::pods_in_missing_namespaces(inputs.cluster, &plan);
    let judgement =
        Judgement { inputs, plan: &plan, before: &before, after: &after, workloads, in_missing_namespaces, ranges };

    let enforced = judgement.assess_enforced();
    let denials = judgement.denials(&enforced);
    let fixes = judgement.fixes(&denials);
    let mut scratch = Scratch { with: after.clone(), fixed: after.clone() };
    let policies = plan.enforced.iter().map(|change| judgement.policy_report(change, &enforced)).collect();
    let previews: Vec<PolicyReport> =
        plan.audited.iter().map(|change| judgement.preview(change, &mut scratch)).collect();
    let newly_allowed = connections(&enforced.newly_allowed);
    let previewed = previews.iter().flat_map(|preview| &preview.denials);
    let drift = drift::relevant(drift, denials.iter().chain(previewed.clone()));
    let exceptions = judgement.exceptions(&denials.iter().chain(previewed).collect::<Vec<_>>());
    let evidence = judgement.evidence();
    let missing = judgement.missing(&denials);
    notes.extend(judgement.notes());
    let unapplied = [judgement.unapplied(&mut notes), judgement.removed(&mut notes)].concat();
    notes.extend(judgement.enforcer_note());
    notes.extend(judgement.other_policies());
    let host_bits = host_bits::find(inputs.change, inputs.cluster);
    notes.extend(host_bits.notes);

    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        decision: Decision::MayMerge,
        exit_status: 0,
        headline: String::new(),
        next_step: String::new(),
        reasons: Vec::new(),
        base: inputs.base.clone(),
        head: inputs.head.clone(),
        at: inputs.at,
        cni: inputs.dialect,
        dialects: judgement.dialects(),
        undecided: missing
            .into_iter()
            .chain(undecided(inputs.change))
            .chain(host_bits.refused)
            .chain(judgement.unknown(&enforced))
            .chain(unapplied)
            .collect(),
        policies,
        previews,
        identities: plan.identities.clone(),
        drift,
        exceptions,
        denials,
        fixes,
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
    parts.map(|it| UndecidedPart { places: it.places.clone(), what: it.what.clone(), fix: it.fix.clone() }).collect()
}

fn not_judged(change: &Change) -> Vec<NotJudgedFile> {
    change.not_judged.iter().map(|it| NotJudgedFile { file: it.file.clone(), why: it.why.clone() }).collect()
}

/// The workloads that run or may run again: those of running pods, controllers in the snapshot, and workloads in Git. A snapshot
/// without any CronJob was taken without them, so every CronJob that had a pod counts as existing.
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
                "AuditException {}/{} does not count yet: the base requires exceptions to be merged first",
                exception.namespace, exception.name
            ));
        }
        !exception.in_change
    });
}

/// Two copies of the world after the change, to try policies in.
struct Scratch<'c> {
    /// For a previewed policy.
    with: World<'c>,
    /// For a policy with fixed rules.
    fixed: World<'c>,
}

struct Judgement<'a> {
    inputs: &'a Inputs<'a>,
    plan: &'a Plan,
    before: &'a World<'a>,
    after: &'a World<'a>,
    /// The workloads that run or may run again.
    workloads: HashSet<Workload>,
    /// The pods in namespaces whose labels are unknown.
    in_missing_namespaces: HashSet<PodId>,
    /// Names for many addresses outside of the cluster.
    ranges: OutsideRanges,
}

/// The blocks that the policies of a world name.
fn blocks(world: &World<'_>) -> impl Iterator<Item = IpNet> {
    let policies = world
        .policies()
        .flat_map(|policy| Direction::BOTH.into_iter().flat_map(|direction| policy.restriction(direction).blocks()));
    policies.chain(world.tiers().policies().iter().flat_map(|policy| policy.networks()))
}

impl Judgement<'_> {
    fn assess(&self, before: &World<'_>, after: &World<'_>, changed: &BTreeSet<PolicyRef>) -> Assessment {
        let inputs = AssessmentInputs {
            worlds: Worlds { before, after, at: self.inputs.at },
            changed,
            exceptions: &self.plan.exceptions,
            ranges: &self.ranges,
            promoted_from: &self.plan.promoted_from,
        };
        assess(&inputs, self.inputs.traffic)
    }

    fn assess_enforced(&self) -> Assessment {
        self.assess(self.before, self.after, &self.changed())
    }

    /// The enforced policies that the change adds, changes or removes.
    fn changed(&self) -> BTreeSet<PolicyRef> {
        self.plan.enforced.iter().map(|change| change.reference.clone()).collect()
    }

    /// Previews one audit policy: as if it were enforced together with the policies that are enforced after the change.
    fn preview(&self, change: &PolicyChange, scratch: &mut Scratch<'_>) -> PolicyReport {
        let Compiled::Policy(policy) = &change.compiled else {
            return self.policy_report(change, &Assessment::default());
        };
        if change.action == ChangeAction::Removed {
            return self.policy_report(change, &Assessment::default());
        }
        let Scratch { with, fixed } = scratch;
        let (assessment, denials, fix, missing) = with.with_policy(policy, |with| {
            let changed = BTreeSet::from([change.reference.clone()]);
            let assessment = self.assess(self.after, with, &changed);
            let denials = self.denials(&assessment);
            let fix = self.preview_fix(change, with, fixed, &denials);
            (assessment, denials, fix, self.missing_namespaces(self.after, with, &changed))
        });
        let mut report = self.policy_report(change, &assessment);
        let mut undecided = self.missing_for_preview(change);
        undecided.extend(missing);
        undecided.extend(self.unknown(&assessment));
        report.notes.extend(undecided.iter().map(|part| part.what.clone()));
        PolicyReport { denials, fix, undecided, ..report }
    }

    fn policy_report(&self, change: &PolicyChange, assessment: &Assessment) -> PolicyReport {
        let selected = self.selected(change);
        let cluster = self.inputs.cluster;
        let workloads: BTreeSet<Party> =
            selected.iter().map(|pod| Party::workload(&cluster.pod(*pod).workload)).collect();
        let counts = assessment.counts.get(&change.reference).copied().unwrap_or_default();
        let own = |noted: &BTreeMap<PolicyRef, Connections<Noteworthy>>| {
            noted.get(&change.reference).map(connections).unwrap_or_default()
        };
        let mut notes = Vec::new();
        if change.action != ChangeAction::Removed {
            if self.lacks_pods() {
                notes.push("the snapshot holds no Pods, so it is unknown which pods it selects".to_owned());
            } else if selected.is_empty() && counts != VerdictCounts::default() {
                notes.push("it selects no running pod; the traffic is that of pods that ran in the window".to_owned());
            } else if selected.is_empty() {
                notes.push("it selects no running pod, so it denies nothing today".to_owned());
            } else if counts == VerdictCounts::default() {
                notes.push("no connection in use of the pods that it selects was recorded in the window".to_owned());
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
                diff: promotion.diff.clone(),
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
            still_allowed: own(&assessment.still_allowed),
            still_denied: own(&assessment.still_denied),
            fix: None,
            undecided: Vec::new(),
            notes,
        }
    }

    /// A remark on pods whose networks are recorded in a form that cannot be read.
    fn unreadable_networks(&self) -> Option<String> {
        let mut pods = self.inputs.cluster.pods().map(|(_, pod)| pod).filter(|pod| pod.has_unreadable_networks);
        let first = pods.next()?;
        let of = match pods.count() as u64 {
            0 => String::new(),
            more => format!(" and {}", count(more, "more pod", "more pods")),
        };
        Some(format!(
            "the annotation {NETWORK_STATUS} of Pod {}/{}{of} is not a list in JSON, so it is ignored: traffic on the secondary \
             networks of a pod counts as traffic of the pod",
            first.namespace, first.name
        ))
    }

    /// Remarks on Nodes that the change touches, and on Services that it leaves without pods.
    fn notes(&self) -> Vec<String> {
        let (old, new) = (self.before.identities(), self.after.identities());
        let nodes = self.plan.nodes.iter();
        let nodes = nodes.map(|name| format!("the change touches Node {name}, which counts as it is in the cluster"));
        let services = self.inputs.cluster.services();
        let emptied = services
            .filter(|(id, _)| old.targets(*id).pods().next().is_some() && new.targets(*id).pods().next().is_none());
        let emptied = emptied.map(|(_, service)| {
            let Service { namespace, name, .. } = service;
            format!("Service {namespace}/{name} no longer selects any of its current pods")
        });
        nodes.chain(emptied).chain(self.unreadable_networks()).collect()
    }
}
