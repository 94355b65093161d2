//! Judges: the audit policies whenever something changed, and a change when somebody asks.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use foretell_policy::change::revisions::{Change, Place, Sourced};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::traffic::{Tally, Traffic};
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::VerdictName;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::judge::judgement::{Inputs, judge};
use foretell_policy::model::dialect::Dialect;
use foretell_policy::model::flow::{Direction, Protocol};
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::report::data::{Evidence, Report, State as DenialState};
use foretell_policy::report::preview::Preview;
use foretell_policy::resource::object::{Kind, Object};
use foretell_policy::snapshot::text::Snapshot;
use foretell_service::contract::PolicySummary;
use foretell_service::refusal::Refusal;
use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::objects::{AuditPolicy, Unreadable, typed};
use crate::state::{OBJECTS, State};
use crate::watch;
use crate::window::Window;

/// Changes come in bursts: so long the first one waits for the others.
const BURST: Duration = Duration::from_millis(500);
/// Time itself changes answers: exceptions expire, traffic leaves the window.
const AT_LEAST_EVERY: Duration = Duration::from_secs(30);

/// The cluster at a time, in the engine's form.
pub struct Assembled {
    /// When.
    pub at: Timestamp,
    /// The index, with what agents told of their nodes' addresses.
    pub cluster: Cluster,
    /// The objects.
    pub objects: Vec<Object>,
    /// Those that the engine refuses.
    pub unreadable: Vec<Unreadable>,
    /// What enforces the policies.
    pub cni: Dialect,
}

/// What is said of all audit policies.
pub struct Judged {
    /// Of which cluster.
    pub assembled: Arc<Assembled>,
    /// Of each policy.
    pub policies: Vec<PolicySummary>,
    /// Policies that the engine refuses, with what they are known by.
    pub refused: Vec<(AuditPolicy, Unreadable)>,
    /// How far it can be trusted.
    pub evidence: Evidence,
    /// Verdicts by the ends of flows.
    pub verdicts: BTreeMap<VerdictKey, VerdictSum>,
}

/// What makes two verdicts one row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the columns of the table, which say what they are")]
pub struct VerdictKey {
    pub policy_uid: String,
    pub direction: Direction,
    pub src_namespace: String,
    pub src_pod: String,
    pub src_ip: IpAddr,
    pub dst_namespace: String,
    pub dst_pod: String,
    pub dst_ip: IpAddr,
    pub dst_port: u16,
    pub protocol: Protocol,
}

/// What is said of it, and of how much.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the columns of the table, which say what they are")]
pub struct VerdictSum {
    pub policy_namespace: String,
    pub policy_name: String,
    pub policy_generation: i64,
    pub verdict: VerdictName,
    pub reason: String,
    /// By who saw it: leaving, arriving, nobody knows.
    sides: [Option<Tally>; 3],
}

impl VerdictSum {
    /// Seen at both ends it counts once: the larger of the two.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.sides.iter().flatten().copied().reduce(|mut one, other| {
            one.unite(&other);
            one
        })
    }
}

/// Judges whenever something changed, until it is told to stop.
///
/// # Errors
/// Never: what cannot be done now is said and done later.
pub async fn judge_on_change(state: Arc<State>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = state.changed.notified() => {}
            () = tokio::time::sleep(AT_LEAST_EVERY) => {}
        }
        tokio::time::sleep(BURST).await;
        let missing = state.objects().unlisted(&watch::RESOURCES);
        if !missing.is_empty() {
            state.health.waits_for(OBJECTS, format!("lists of {} are not complete", missing.join(", ")));
            continue;
        }
        let began = Instant::now();
        let judging = Arc::clone(&state);
        let (judged, snapshot) = tokio::task::spawn_blocking(move || judge_audited(&judging)).await?;
        let milliseconds = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        state.metrics.evaluations.inc();
        state.metrics.evaluation_milliseconds.set(milliseconds);
        debug!(
            evaluation.milliseconds = milliseconds,
            "Judged {} policies in {milliseconds} ms",
            judged.policies.len()
        );
        state.judged.store(Some(Arc::new(judged)));
        state.health.has(OBJECTS);
        if let Err(error) = state.store.save_objects(&snapshot).await {
            warn!(%error, "Could not keep the cluster's objects in the database: {error}");
        }
    }
}

fn judge_audited(state: &State) -> (Judged, Snapshot) {
    let at = Timestamp::now();
    let from = at - state.span;
    let (snapshot, audited) = {
        let mut objects = state.objects();
        (objects.snapshot(at, state.span), objects.audited().clone())
    };
    let assembled = {
        let mut window = state.window();
        window.forget_before(from);
        state.metrics.window_rows.set(i64::try_from(window.rows()).unwrap_or(i64::MAX));
        Arc::new(assemble(&snapshot, &window, at, state.cni))
    };
    state.cluster.store(Arc::new(assembled.cluster.clone()));
    state.metrics.unreadable_objects.set(i64::try_from(assembled.unreadable.len()).unwrap_or(i64::MAX));
    let window = state.window().clone();
    let judged = judge_policies(assembled, &window, from, &audited);
    let unresolved = judged.policies.iter().flat_map(|policy| &policy.denials);
    let unresolved = unresolved.filter(|denial| denial.state == DenialState::Unresolved).count();
    state.metrics.unresolved_denials.set(i64::try_from(unresolved).unwrap_or(i64::MAX));
    (judged, snapshot)
}

fn assemble(snapshot: &Snapshot, window: &Window, at: Timestamp, cni: Dialect) -> Assembled {
    let (objects, unreadable) = typed(snapshot);
    let mut cluster = Cluster::build(&objects);
    for (node, addresses) in window.node_addresses() {
        cluster.add_node_addresses(node, &addresses.iter().copied().collect::<Vec<_>>());
    }
    Assembled { at, cluster, objects, unreadable, cni }
}

/// Each audit policy alone over what is enforced: the report on a change that adds them all has a preview of each.
fn judge_policies(
    assembled: Arc<Assembled>,
    window: &Window,
    from: Timestamp,
    audited: &BTreeMap<(String, String, String), AuditPolicy>,
) -> Judged {
    let at = assembled.at;
    let is_audited =
        |object: &&Object| matches!(object.kind(), Kind::AuditNetworkPolicy | Kind::AuditClusterNetworkPolicy);
    let place = Place { file: "the cluster".to_owned(), document: 1, item: String::new() };
    let after = assembled.objects.iter().filter(is_audited);
    let after = after.map(|object| Sourced { object: object.clone(), place: place.clone() }).collect();
    let change = Change { after, ..Change::default() };
    let traffic = window.traffic(&assembled.cluster, from, at);
    let report = report(&assembled, window, &traffic, &Asked { change: &change, from, preview: None });
    let policies = report.previews.into_iter().filter_map(|preview| {
        let reference = preview.policy;
        let known = audited.get(&(reference.kind.to_string(), reference.namespace.clone(), reference.name.clone()))?;
        Some(PolicySummary {
            kind: reference.kind.to_string(),
            namespace: reference.namespace,
            name: reference.name,
            uid: known.uid.clone(),
            generation: known.generation,
            evaluated_at: at,
            selected_pods: preview.selected_pods,
            verdicts: preview.verdicts,
            denials: preview.denials,
            notes: preview.notes,
        })
    });
    let policies: Vec<PolicySummary> = policies.collect();
    let refused = assembled.unreadable.iter().filter_map(|unreadable| {
        let key = &unreadable.key;
        let known = audited.get(&(key.kind.clone(), key.namespace.clone(), key.name.clone()))?;
        Some((known.clone(), unreadable.clone()))
    });
    let refused = refused.collect();
    let verdicts = verdicts(&assembled, window, audited);
    Judged { assembled, policies, refused, evidence: report.evidence, verdicts }
}

struct Asked<'a> {
    change: &'a Change,
    from: Timestamp,
    preview: Option<&'a Preview>,
}

fn report(assembled: &Assembled, window: &Window, traffic: &Traffic, asked: &Asked<'_>) -> Report {
    let preview = asked.preview;
    judge(&Inputs {
        cluster: &assembled.cluster,
        snapshot: &assembled.objects,
        change: asked.change,
        traffic,
        watch: &window.watch(asked.from, assembled.at),
        base: preview.map(|it| it.base.clone()).unwrap_or_default(),
        head: preview.map(|it| it.head.clone()).unwrap_or_default(),
        at: assembled.at,
        from: asked.from,
        min_window: preview.and_then(|it| it.min_window_seconds).map(|it| SignedDuration::from_secs(it.into())),
        exceptions_on_base_only: preview.is_some_and(|it| it.exceptions_on_base_only),
        bad_lines: 0,
        dialect: preview.and_then(|it| it.cni).unwrap_or(assembled.cni),
    })
}

/// What a change would do to the traffic of the window.
///
/// # Errors
/// [`Refusal`] where the change cannot be read, or nothing was judged yet.
pub fn preview(state: &State, mut preview: Preview) -> Result<Report, Refusal> {
    let Some(judged) = state.judged.load_full() else {
        return Err(Refusal::unavailable(format!("nothing can be judged yet: {}", state.health.waiting().join("; "))));
    };
    let change = std::mem::take(&mut preview.change).read().map_err(Refusal::bad_request)?;
    let asked = preview.window_seconds.map_or(state.span, |seconds| SignedDuration::from_secs(seconds.into()));
    if asked > state.span {
        return Err(Refusal::bad_request(format!(
            "windowSeconds: the evaluator keeps {} s of traffic; ask for no more, or start it with a longer --window",
            state.span.as_secs()
        )));
    }
    let at = Timestamp::now();
    let from = at - asked;
    let window = state.window().clone();
    let mut cluster = judged.assembled.cluster.clone();
    for (node, addresses) in window.node_addresses() {
        cluster.add_node_addresses(node, &addresses.iter().copied().collect::<Vec<_>>());
    }
    let objects = judged.assembled.objects.clone();
    let assembled = Assembled { at, cluster, objects, unreadable: Vec::new(), cni: state.cni };
    let traffic = window.traffic(&assembled.cluster, from, at);
    Ok(report(&assembled, &window, &traffic, &Asked { change: &change, from, preview: Some(&preview) }))
}

fn verdicts(
    assembled: &Assembled,
    window: &Window,
    audited: &BTreeMap<(String, String, String), AuditPolicy>,
) -> BTreeMap<VerdictKey, VerdictSum> {
    let policies = assembled.objects.iter().filter_map(Policy::of);
    let policies = policies.filter(|policy| !policy.reference.kind.is_enforced()).map(Arc::new).collect();
    let world = World::in_dialect(
        assembled.cni,
        &assembled.cluster,
        Arc::new(Identities::as_recorded(&assembled.cluster)),
        policies,
    );
    let mut rows: BTreeMap<VerdictKey, VerdictSum> = BTreeMap::new();
    for flow in window.flows() {
        let tally = Tally {
            connections: flow.connections,
            packets: flow.packets,
            bytes: flow.bytes,
            first: flow.start,
            last: flow.end,
        };
        let side = match flow.observed {
            Some(Direction::Egress) => 0,
            Some(Direction::Ingress) => 1,
            None => 2,
        };
        for line in evaluate(&world, &flow, 0).lines {
            let reference = line.policy;
            let id = (reference.kind.to_string(), reference.namespace.clone(), reference.name.clone());
            let Some(known) = audited.get(&id) else { continue };
            let text = |text: &Option<String>| text.clone().unwrap_or_default();
            let key = VerdictKey {
                policy_uid: known.uid.clone(),
                direction: line.direction,
                src_namespace: text(&flow.src.namespace),
                src_pod: text(&flow.src.pod),
                src_ip: flow.src.ip,
                dst_namespace: text(&flow.dst.namespace),
                dst_pod: text(&flow.dst.pod),
                dst_ip: flow.dst.ip,
                dst_port: flow.port,
                protocol: flow.protocol,
            };
            let said = (line.verdict, line.message.or(line.reason.map(str::to_owned)).unwrap_or_default());
            let sum = rows.entry(key).or_insert_with(|| VerdictSum {
                policy_namespace: reference.namespace.clone(),
                policy_name: reference.name.clone(),
                policy_generation: known.generation,
                verdict: said.0,
                reason: said.1.clone(),
                sides: [None; 3],
            });
            // Of what was said at different times the denial stands.
            if said.0 == VerdictName::WouldDeny {
                (sum.verdict, sum.reason) = said;
            }
            match &mut sum.sides[side] {
                Some(known) => known.add(&tally),
                none => *none = Some(tally),
            }
        }
    }
    rows
}
