//! Verdicts, flow by flow: nothing is summed, united or remembered.

use std::collections::BTreeMap;

use crate::cluster::ownership::Destination;
use crate::flow::{Direction, Flow};
use crate::naming::Party;
use crate::population::Listener;
use crate::verdict::{BY_BLOCK_ALONE, Exemption, TO_OWN_NODE, Verdict, VerdictLine, VerdictName};
use crate::world::{Dialled, Pair, PolicyId, World};

mod tiers;

/// What is said of one flow.
#[derive(Clone, Debug, Default)]
pub struct Evaluated<'a> {
    /// A line for each policy and direction that applies, by the policy's namespace and name, direction, and kind.
    pub lines: Vec<VerdictLine<'a>>,
    /// Ends that are pods, by their address or their observer's word, and that the snapshot does not know: what policies
    /// say of them cannot be told.
    pub unresolved_subjects: Vec<Direction>,
}

/// A verdict of one policy, and which listener it is about.
#[derive(Clone, Copy)]
struct About {
    verdict: Verdict,
    pair: Pair,
}

/// Judges a flow by every policy of a world, each taken alone.
#[must_use]
pub fn evaluate<'a>(world: &'a World<'_>, flow: &Flow, index: u64) -> Evaluated<'a> {
    let cluster = world.cluster();
    let ends = cluster.resolve(flow);
    let blocks = world.blocks(&ends.src);
    let listeners = world.population().listeners(&ends.src, &ends.dst, flow.protocol, flow.port, flow.start, blocks);
    let mut said: BTreeMap<(PolicyId, Direction), About> = BTreeMap::new();
    let mut rulings = tiers::Rulings::default();
    let mut evaluated = Evaluated::default();
    for direction in Direction::BOTH {
        for Listener { end, port } in &listeners {
            let dialled = Dialled::from(&ends.dst);
            let pair = Pair { src: ends.src, dst: *end, protocol: flow.protocol, port: *port, dialled };
            if world.is_unresolved(pair.subject(direction)) && !evaluated.unresolved_subjects.contains(&direction) {
                evaluated.unresolved_subjects.push(direction);
            }
            rulings.add(world, &pair, direction);
            for (policy, verdict) in world.verdicts(&pair, direction) {
                let about = About { verdict, pair };
                said.entry((policy, direction))
                    .and_modify(|known| {
                        if rank(&verdict) < rank(&known.verdict) {
                            *known = about;
                        }
                    })
                    .or_insert(about);
            }
        }
    }
    let service = match ends.dst {
        Destination::Service { service, .. } => Some(cluster.service(service)),
        Destination::Direct(_) => None,
    };
    let backend_of = service.map(|service| format!("Service {}/{}", service.namespace, service.name));
    evaluated.lines = said
        .into_iter()
        .map(|((policy, direction), about)| line(world, index, policy, direction, &about, backend_of.as_deref()))
        .chain(rulings.lines(world, index, backend_of.as_deref()))
        .collect();
    let order = |line: &VerdictLine<'a>| (&line.policy.namespace, &line.policy.name, line.direction, line.policy.kind);
    evaluated.lines.sort_by(|a, b| order(a).cmp(&order(b)));
    evaluated
}

/// Of the verdicts on the backends of one Service the worst stands: a denial first, then an allow that not every enforcer
/// gives; of two exemptions that of the node, which not every enforcer gives either.
fn rank(verdict: &Verdict) -> impl Ord + use<> {
    match verdict {
        Verdict::WouldDeny(reason) => (0, Some(*reason)),
        Verdict::Allow { by_block_alone: true, .. } => (1, None),
        Verdict::Allow { by_block_alone: false, .. } => (2, None),
        Verdict::Exempt(Exemption::Node) => (3, None),
        Verdict::Exempt(Exemption::Itself) => (4, None),
    }
}

fn line<'a>(
    world: &'a World<'_>,
    flow: u64,
    policy: PolicyId,
    direction: Direction,
    about: &About,
    backend_of: Option<&str>,
) -> VerdictLine<'a> {
    let policy = world.policy(policy);
    let pair = &about.pair;
    let allow = VerdictLine {
        flow,
        policy: &policy.reference,
        direction,
        verdict: VerdictName::Allow,
        rule: None,
        exempt: None,
        reason: None,
        message: None,
        administrators: None,
    };
    match about.verdict {
        Verdict::Allow { rule, by_block_alone } => {
            let message = by_block_alone.then(|| BY_BLOCK_ALONE.to_owned());
            VerdictLine { rule: Some(rule), message, ..allow }
        }
        Verdict::Exempt(exemption) => {
            let to_node = exemption == Exemption::Node && direction == Direction::Egress;
            let message = to_node.then(|| TO_OWN_NODE.to_owned());
            VerdictLine { exempt: Some(exemption), message, ..allow }
        }
        Verdict::WouldDeny(reason) => {
            let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
            let mut message = policy.explain(&reason, direction, &peer, pair.protocol, pair.port);
            if let Some(service) = backend_of {
                let backend = Party::of(&pair.dst, world.cluster());
                message = format!("{message} (backend {backend} of {service})");
            }
            VerdictLine {
                verdict: VerdictName::WouldDeny,
                reason: Some(reason.name()),
                message: Some(message),
                ..allow
            }
        }
    }
}
