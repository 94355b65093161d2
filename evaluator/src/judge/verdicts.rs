//! Verdicts of audit policies on the flows of the window, summed by the ends of the flows.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use foretell_objects::model::flow::{Direction, Flow, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_policy::cluster::traffic::Tally;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::VerdictName;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::policy::network_policy::Policy;

use crate::judge::assembled::Assembled;
use crate::objects::AuditPolicy;
use crate::window::Window;

/// The sums.
pub type Verdicts = BTreeMap<VerdictKey, VerdictSum>;

/// Identifies a row: verdicts with the same key are summed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names of the table's columns")]
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

/// The verdict of a row and the traffic that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of the table's columns")]
pub struct VerdictSum {
    pub policy_namespace: String,
    pub policy_name: String,
    pub policy_generation: i64,
    pub verdict: VerdictName,
    pub reason: String,
    /// Traffic by where it was observed: at its source, at its destination, unknown.
    sides: [Option<Tally>; 3],
}

impl VerdictSum {
    /// The traffic. If it was observed at both ends it counts once: the larger of the two.
    #[must_use]
    pub fn tally(&self) -> Option<Tally> {
        self.sides.iter().flatten().copied().reduce(|mut one, other| {
            one.unite(&other);
            one
        })
    }

    fn add(&mut self, observed: Option<Direction>, tally: &Tally) {
        let side = match observed {
            Some(Direction::Egress) => 0,
            Some(Direction::Ingress) => 1,
            None => 2,
        };
        match &mut self.sides[side] {
            Some(known) => known.add(tally),
            none => *none = Some(*tally),
        }
    }
}

/// The name of a verdict in the table and in answers.
#[must_use]
pub fn verdict_text(verdict: VerdictName) -> &'static str {
    match verdict {
        VerdictName::Allow => "Allow",
        VerdictName::WouldDeny => "WouldDeny",
        VerdictName::Unknown => "Unknown",
    }
}

/// A world that contains the audit policies and no enforced ones.
pub(crate) fn audited_world(assembled: &Assembled) -> World<'_> {
    let policies = assembled.objects.iter().filter_map(Policy::of);
    let policies = policies.filter(|policy| !policy.reference.kind.is_enforced()).map(Arc::new).collect();
    let identities = Arc::new(Identities::as_recorded(&assembled.cluster));
    World::in_dialect(assembled.cni, &assembled.cluster, identities, policies)
}

/// Evaluates every flow of the window by every audit policy.
pub(super) fn verdicts(
    assembled: &Assembled,
    window: &Window,
    audit_policies: &BTreeMap<PolicyRef, AuditPolicy>,
) -> Verdicts {
    let world = audited_world(assembled);
    let mut rows = Verdicts::new();
    for flow in window.flows() {
        let Flow { connections, packets, bytes, start: first, end: last, .. } = flow;
        let tally = Tally { connections, packets, bytes, first, last };
        for line in evaluate(&world, &flow, 0).lines {
            let Some(known) = audit_policies.get(line.policy) else { continue };
            let reason = line.message.or(line.reason.map(str::to_owned)).unwrap_or_default();
            let sum = rows.entry(key(known, line.direction, &flow)).or_insert_with(|| VerdictSum {
                policy_namespace: line.policy.namespace.clone(),
                policy_name: line.policy.name.clone(),
                policy_generation: known.generation,
                verdict: line.verdict,
                reason: reason.clone(),
                sides: [None; 3],
            });
            // Verdicts of different times may differ. A denial takes precedence.
            if line.verdict == VerdictName::WouldDeny {
                (sum.verdict, sum.reason) = (line.verdict, reason);
            }
            sum.add(flow.observed, &tally);
        }
    }
    rows
}

fn key(policy: &AuditPolicy, direction: Direction, flow: &Flow) -> VerdictKey {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    VerdictKey {
        policy_uid: policy.uid.clone(),
        direction,
        src_namespace: text(&flow.src.namespace),
        src_pod: text(&flow.src.pod),
        src_ip: flow.src.ip,
        dst_namespace: text(&flow.dst.namespace),
        dst_pod: text(&flow.dst.pod),
        dst_ip: flow.dst.ip,
        dst_port: flow.port,
        protocol: flow.protocol,
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use crate::scene::{Scene, at, audit_policy, flow, noon, spec};

    use super::*;

    fn verdicts_of(mut scene: Scene) -> Vec<(VerdictKey, VerdictSum)> {
        scene.judge(SignedDuration::ZERO).verdicts.into_iter().collect()
    }

    #[test]
    fn traffic_is_summed_over_hours_and_counts_once_if_both_ends_saw_it() {
        let policy = audit_policy("web", &spec("web", &[]));
        let earlier = Flow { start: at("10:00:00"), end: at("10:30:00"), ..flow("batch", "web", 8080) };
        let at_source = Flow { observed: Some(Direction::Egress), connections: 5, ..flow("batch", "web", 8080) };
        let scene = Scene::new(&[policy]).flow(&flow("batch", "web", 8080)).flow(&earlier).flow(&at_source);
        let rows = verdicts_of(scene);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let (key, sum) = &rows[0];
        assert_eq!((key.src_pod.as_str(), key.dst_pod.as_str(), key.dst_port), ("batch", "web", 8080));
        assert_eq!((key.policy_uid.as_str(), key.direction), ("uid-web", Direction::Ingress));
        assert_eq!((sum.verdict, sum.policy_generation), (VerdictName::WouldDeny, 1));
        let tally = sum.tally().unwrap();
        assert_eq!((tally.connections, tally.first, tally.last), (6, at("10:00:00"), at("11:59:01")));
    }

    #[test]
    fn each_policy_port_and_peer_has_a_row_with_its_verdict() {
        let policies =
            [audit_policy("web", &spec("web", &["batch"])), audit_policy("all", &spec("web", &["batch", "scraper"]))];
        let scene = Scene::new(&policies).flow(&flow("batch", "web", 80)).flow(&flow("scraper", "web", 81));
        let mut rows: Vec<_> = verdicts_of(scene)
            .into_iter()
            .map(|(key, sum)| (sum.policy_name, key.src_pod, key.dst_port, verdict_text(sum.verdict)))
            .collect();
        rows.sort();
        let row = |policy: &str, src: &str, port, verdict| (policy.to_owned(), src.to_owned(), port, verdict);
        let expected = [
            row("all", "batch", 80, "Allow"),
            row("all", "scraper", 81, "Allow"),
            row("web", "batch", 80, "Allow"),
            row("web", "scraper", 81, "WouldDeny"),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn flows_that_no_policy_applies_to_have_no_row() {
        let scene = Scene::new(&[audit_policy("web", &spec("web", &[]))]).flow(&flow("web", "scraper", 80));
        assert_eq!(verdicts_of(scene), []);
    }

    #[test]
    fn a_sum_without_traffic_has_no_tally() {
        let mut sum = VerdictSum {
            policy_namespace: String::new(),
            policy_name: String::new(),
            policy_generation: 1,
            verdict: VerdictName::Allow,
            reason: String::new(),
            sides: [None; 3],
        };
        assert_eq!(sum.tally(), None);
        let tally = |connections| Tally { connections, packets: 1, bytes: 1, first: noon(), last: noon() };
        sum.add(None, &tally(1));
        sum.add(None, &tally(2));
        sum.add(Some(Direction::Ingress), &tally(2));
        assert_eq!(sum.tally().unwrap().connections, 3);
    }
}
