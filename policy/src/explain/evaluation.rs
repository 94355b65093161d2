//! The verdict of every policy on a single flow.

use serde::Serialize;

use crate::cluster::ownership::Destination;
use crate::cluster::party::Party;
use crate::engine::backends::Backend;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::verdict::{BY_BLOCK_ALONE, Exemption, TO_OWN_NODE, Verdict};
use crate::engine::world::World;
use crate::explain::enforcer_note;
use crate::explain::nearest::RuleMismatch;
use crate::policy::end_kind::EndKind;
use crate::policy::tier::TierName;
use foretell_objects::model::dialect::ToOwnNode;
use foretell_objects::model::flow::{Direction, Flow};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::admin_view::AdminAction;

mod tiers;

/// The verdicts on one flow.
#[derive(Clone, Debug, Default)]
pub struct FlowVerdicts<'a> {
    /// A line for each policy that applies, in each direction, ordered by the policy's namespace and name, direction, and kind.
    pub lines: Vec<VerdictLine<'a>>,
    /// Directions whose subject is an unknown pod: its address or the observer of the flow shows that it is a pod, and the
    /// snapshot does not contain it. Which policies select it is unknown.
    pub unresolved_subjects: Vec<Direction>,
}

/// Judges a flow by every policy of a world, each in isolation. `index` is the flow's line in its file, counted from 0.
///
/// ```
/// use std::sync::Arc;
///
/// use foretell_policy::cluster::inventory::Cluster;
/// use foretell_policy::engine::identities::Identities;
/// use foretell_policy::engine::world::World;
/// use foretell_policy::explain::evaluation::evaluate;
/// use foretell_objects::model::flow::Line;
/// use foretell_policy::policy::network_policy::Policy;
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pod = json!({
///     "apiVersion": "v1", "kind": "Pod",
///     "metadata": {"name": "db", "namespace": "data", "labels": {"app": "db"}},
///     "spec": {"nodeName": "n1", "containers": [{"name": "db", "image": "db"}]},
///     "status": {"phase": "Running", "podIP": "10.1.1.1"},
/// });
/// let policy = json!({
///     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
///     "metadata": {"name": "deny-all", "namespace": "data"},
///     "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
/// });
/// let mut objects = Vec::new();
/// for value in [pod, policy] {
///     objects.extend(read(value, &Origin::Cluster)?);
/// }
/// let cluster = Cluster::build(&objects);
/// let identities = Arc::new(Identities::as_recorded(&cluster));
/// let world = World::new(&cluster, identities, objects.iter().filter_map(Policy::of).map(Arc::new).collect());
///
/// let line = r#"{"start": "2026-01-01T12:00:00Z", "end": "2026-01-01T12:00:01Z", "src": {"ip": "203.0.113.9"},
///     "dst": {"ip": "10.1.1.1"}, "protocol": "TCP", "port": 5432}"#;
/// let Line::Flow(flow) = Line::parse(line.as_bytes())? else { return Err("not a flow".into()) };
/// let verdicts = evaluate(&world, &flow, 0);
/// assert_eq!(verdicts.lines[0].message.as_deref(), Some("policy has no ingress rules: every ingress flow is denied"));
/// # Ok(())
/// # }
/// ```
#[must_use]
pub fn evaluate<'a>(world: &'a World<'_>, flow: &Flow, index: u64) -> FlowVerdicts<'a> {
    evaluate_in(&world.view(), flow, index)
}

/// The same as [`evaluate`], for the view of a world.
#[must_use]
pub fn evaluate_in<'a>(view: &View<'a>, flow: &Flow, index: u64) -> FlowVerdicts<'a> {
    let ends = view.cluster.resolve(flow);
    let backends = view.backends(&ends, flow.protocol, flow.port, flow.start);
    let mut evaluated = FlowVerdicts::default();
    for direction in Direction::BOTH {
        let subjects = backends.iter().map(|backend| match direction {
            Direction::Egress => &ends.src,
            Direction::Ingress => &backend.end,
        });
        if subjects.into_iter().any(|end| view.kind(end) == EndKind::Unresolved) {
            evaluated.unresolved_subjects.push(direction);
        }
    }
    let mut admin_verdicts = tiers::AdminVerdicts::default();
    for Backend { end, port, dialled } in &backends {
        let pair = Pair { src: ends.src, dst: *end, protocol: flow.protocol, port: *port, dialled: *dialled };
        for direction in Direction::BOTH {
            admin_verdicts.add(view, &pair, direction);
        }
    }
    let service = match ends.dst {
        Destination::Service { service, .. } => Some(view.cluster.service(service)),
        Destination::Direct(_) => None,
    };
    let backend_of = service.map(|service| format!("Service {}/{}", service.namespace, service.name));
    evaluated.lines = view
        .verdicts_by_policy(&ends, &backends, flow.protocol)
        .into_iter()
        .map(|((direction, policy), (verdict, pair))| {
            let about = JudgedPair { verdict: verdict.verdict(), pair };
            line(view, index, policy, direction, &about, backend_of.as_deref())
        })
        .chain(admin_verdicts.lines(view, index, backend_of.as_deref()))
        .collect();
    let order = |line: &VerdictLine<'a>| (&line.policy.namespace, &line.policy.name, line.direction, line.policy.kind);
    evaluated.lines.sort_by(|a, b| order(a).cmp(&order(b)));
    evaluated
}

/// The verdict of one policy, and the backend that it is about.
#[derive(Clone, Copy)]
struct JudgedPair {
    verdict: Verdict,
    pair: Pair,
}

fn line<'a>(
    view: &View<'a>,
    flow: u64,
    policy: PolicyId,
    direction: Direction,
    about: &JudgedPair,
    backend_of: Option<&str>,
) -> VerdictLine<'a> {
    let policy = view.index.policy(policy);
    let pair = &about.pair;
    let allow = VerdictLine {
        flow,
        policy: &policy.reference,
        direction,
        verdict: VerdictName::Allow,
        rule: None,
        exempt: None,
        reason: None,
        nearest: None,
        message: None,
        admin_policies: None,
    };
    match about.verdict {
        Verdict::Allow { rule, by_block_alone } => {
            let message = by_block_alone.then(|| BY_BLOCK_ALONE.to_owned());
            VerdictLine { rule: Some(rule), message, ..allow }
        }
        Verdict::Exempt(exemption) => {
            let is_specified = view.index.resolved_dialect().dialect.to_own_node != ToOwnNode::Unspecified;
            let to_node = exemption == Exemption::Node && direction == Direction::Egress && !is_specified;
            let message = to_node.then(|| TO_OWN_NODE.to_owned());
            VerdictLine { exempt: Some(exemption), message, ..allow }
        }
        Verdict::WouldDeny(reason) => {
            let peer = Party::of(pair.peer(direction), view.cluster).to_string();
            let question = view.question(pair, direction);
            let mut message = policy.explain(&reason, &question, &peer);
            message.extend(enforcer_note::on_denial(view, policy, pair, direction));
            if let Some(service) = backend_of {
                let backend = Party::of(&pair.dst, view.cluster);
                message = format!("{message} (backend {backend} of {service})");
            }
            VerdictLine {
                verdict: VerdictName::WouldDeny,
                reason: Some(reason.name()),
                nearest: policy.mismatch(&reason, &question),
                message: Some(message),
                ..allow
            }
        }
    }
}

/// A line of `foretell evaluate --format ndjson`: the verdict of one policy on one flow in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictLine<'a> {
    /// The line of the flow in its file, counted from 0.
    pub flow: u64,
    /// The policy.
    pub policy: &'a PolicyRef,
    /// The direction.
    pub direction: Direction,
    /// `Allow` or `WouldDeny`; for an admin policy also `Unknown`.
    pub verdict: VerdictName,
    /// Index of the rule that allows the flow; for an admin policy that of the rule that matches, or may match, the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Why no NetworkPolicy can deny the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exemption>,
    /// Why the policy would deny the flow: the name of a [`Reason`](crate::engine::verdict::Reason), `DeniedByRule` or
    /// `CannotBeJudged`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// For a denial by a NetworkPolicy: the nearest rule, and why it does not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<RuleMismatch>,
    /// The reason of a denial, or a note on an allow, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// For an admin policy: its tier and priority, and the action of the rule.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub admin_policies: Option<AdminLine>,
}

/// The additional fields of a line of an admin policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AdminLine {
    /// Its tier.
    pub tier: TierName,
    /// Its priority, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// The action of the rule: `Accept` (called `Allow` by some kinds), `Deny`, or `Pass`.
    pub action: AdminAction,
}

/// The verdict in JSON output. A policy that does not apply has no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum VerdictName {
    Allow,
    WouldDeny,
    Unknown,
}
