//! Verdicts, flow by flow: nothing is summed, united or remembered.

use serde::Serialize;

use crate::cluster::ownership::Destination;
use crate::cluster::party::Party;
use crate::engine::backends::Backend;
use crate::engine::index::EndKind;
use crate::engine::index::view::View;
use crate::engine::pair::{Dialled, Pair};
use crate::engine::verdict::{BY_BLOCK_ALONE, Exemption, TO_OWN_NODE, Verdict};
use crate::engine::world::World;
use crate::explain::enforcer_note as remark;
use crate::explain::nearest::RuleMismatch;
use crate::model::dialect::ToOwnNode;
use crate::model::flow::{Direction, Flow};
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyRef;
use crate::policy::tier::TierName;
use crate::resource::admin::view::AdminAction;

mod tiers;

/// What is said of one flow.
#[derive(Clone, Debug, Default)]
pub struct FlowVerdicts<'a> {
    /// A line for each policy and direction that applies, by the policy's namespace and name, direction, and kind.
    pub lines: Vec<VerdictLine<'a>>,
    /// Ends that are pods, by their address or their observer's word, and that the snapshot does not know: what policies
    /// say of them cannot be told.
    pub unresolved_subjects: Vec<Direction>,
}

/// Judges a flow by every policy of a world, each taken alone.
#[must_use]
pub fn evaluate<'a>(world: &'a World<'_>, flow: &Flow, index: u64) -> FlowVerdicts<'a> {
    evaluate_in(&world.view(), flow, index)
}

/// The same, of what a world is made of.
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
    let mut rulings = tiers::AdminVerdicts::default();
    let dialled = Dialled::from(&ends.dst);
    for Backend { end, port } in &backends {
        let pair = Pair { src: ends.src, dst: *end, protocol: flow.protocol, port: *port, dialled };
        for direction in Direction::BOTH {
            rulings.add(view, &pair, direction);
        }
    }
    let service = match ends.dst {
        Destination::Service { service, .. } => Some(view.cluster.service(service)),
        Destination::Direct(_) => None,
    };
    let backend_of = service.map(|service| format!("Service {}/{}", service.namespace, service.name));
    evaluated.lines = view
        .said(&ends, &backends, flow.protocol)
        .into_iter()
        .map(|((direction, policy), (answer, pair))| {
            let about = JudgedPair { verdict: answer.verdict(), pair };
            line(view, index, policy, direction, &about, backend_of.as_deref())
        })
        .chain(rulings.lines(view, index, backend_of.as_deref()))
        .collect();
    let order = |line: &VerdictLine<'a>| (&line.policy.namespace, &line.policy.name, line.direction, line.policy.kind);
    evaluated.lines.sort_by(|a, b| order(a).cmp(&order(b)));
    evaluated
}

/// A verdict of one policy, and which backend it is about.
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
            let is_said = view.index.terms().dialect.to_own_node != ToOwnNode::Unsaid;
            let to_node = exemption == Exemption::Node && direction == Direction::Egress && !is_said;
            let message = to_node.then(|| TO_OWN_NODE.to_owned());
            VerdictLine { exempt: Some(exemption), message, ..allow }
        }
        Verdict::WouldDeny(reason) => {
            let peer = Party::of(pair.peer(direction), view.cluster).to_string();
            let question = view.question(pair, direction);
            let mut message = policy.explain(&reason, &question, &peer);
            message.extend(remark::on_denial(view, policy, pair, direction));
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

/// A line of `foretell evaluate --format ndjson`: what one policy says of one flow in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictLine<'a> {
    /// The flow's line number in its file, less one.
    pub flow: u64,
    /// The policy.
    pub policy: &'a PolicyRef,
    /// The direction.
    pub direction: Direction,
    /// `Allow` or `WouldDeny`; of an admin policy also `Unknown`.
    pub verdict: VerdictName,
    /// Index of the allowing rule; of an admin policy that of the rule that takes, or may take, the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Why no policy can deny it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exemption>,
    /// Why it would be denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of a NetworkPolicy's denial: the rule that came nearest, and what of it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<RuleMismatch>,
    /// The reason, or what is to be said of an allow, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of an admin policy: the rule's action, and in which tier and by which priority it is asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub admin_policies: Option<AdminLine>,
}

/// What a line of an admin policy says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AdminLine {
    /// Its tier.
    pub tier: TierName,
    /// Its priority, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What the rule does: `Accept`, whatever its kind calls it, `Deny`, or `Pass`.
    pub action: AdminAction,
}

/// The verdicts on the wire. That a policy does not apply is told by there being no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum VerdictName {
    Allow,
    WouldDeny,
    Unknown,
}
