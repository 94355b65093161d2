//! Whether an audit policy can be enforced. The rule is that of the gate for pull requests.

use std::collections::BTreeMap;

use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::identities::Identities;
use foretell_policy::judge::gate;
use foretell_policy::policy::network_policy::Policy;
use foretell_policy::report::connection::State;
use foretell_policy::report::data::{Decision, Evidence, NodeEvidence, Report};
use foretell_policy::report::policies::PolicyReport;
use jiff::Timestamp;

/// Whether an audit policy can be enforced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Promotion {
    /// Enforcing it denies nothing that was in use in the window.
    Allowed,
    /// Enforcing it denies traffic in use that no exception accepts.
    Denies {
        /// Number of unresolved denials.
        unresolved: u64,
    },
    /// The nodes of its pods were not watched for long enough, or traffic does not show whether a rule matches.
    InsufficientEvidence {
        /// What is missing, each a sentence.
        reasons: Vec<String>,
    },
}

/// The running pods that a policy selects, by their node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Subjects {
    by_node: BTreeMap<String, u64>,
    /// Pods that are not bound to a node that the cluster knows.
    elsewhere: u64,
}

impl Subjects {
    pub(super) fn of(policy: &Policy, cluster: &Cluster, identities: &Identities, at: Timestamp) -> Self {
        let mut subjects = Self::default();
        for (id, pod) in cluster.pods().filter(|(_, pod)| !pod.host_network && pod.life.contains(at)) {
            let identity = identities.identity(id);
            let namespace_labels = identities.namespace_labels(&identity.namespace);
            if !policy.selects(&identity.namespace, namespace_labels, &identity.labels) {
                continue;
            }
            match pod.node {
                Some(node) => *subjects.by_node.entry(cluster.node_name(node).to_owned()).or_default() += 1,
                None => subjects.elsewhere += 1,
            }
        }
        subjects
    }
}

/// Decides by the gate, as if the policy were enforced by a change of its own. `report` is about the audit policies; `preview`
/// is its part about this one.
pub(super) fn promotion(report: &Report, preview: &PolicyReport, subjects: &Subjects) -> Promotion {
    let unresolved = preview.denials.iter().filter(|denial| denial.state == State::Unresolved).count() as u64;
    if unresolved > 0 {
        return Promotion::Denies { unresolved };
    }
    let mut promoted = Report {
        evidence: evidence(&report.evidence, subjects),
        denials: preview.denials.clone(),
        undecided: preview.undecided.clone(),
        ..report.clone()
    };
    gate::decide(&mut promoted, true);
    match promoted.decision {
        Decision::MayMerge => Promotion::Allowed,
        Decision::Blocked => Promotion::Denies { unresolved },
        Decision::Pending | Decision::Undecided => Promotion::InsufficientEvidence { reasons: promoted.reasons },
    }
}

/// The evidence about the policy's own pods.
fn evidence(all: &Evidence, subjects: &Subjects) -> Evidence {
    let Subjects { by_node, elsewhere } = subjects;
    let mut evidence = Evidence { subjects: by_node.values().sum::<u64>() + elsewhere, ..all.clone() };
    for node in &mut evidence.nodes {
        node.subjects = by_node.get(&node.node).copied().unwrap_or_default();
    }
    for (name, subjects) in by_node {
        if evidence.nodes.iter().all(|node| node.node != *name) {
            evidence.nodes.push(unwatched(name, *subjects));
        }
    }
    evidence
}

fn unwatched(node: &str, subjects: u64) -> NodeEvidence {
    let lost = BTreeMap::new();
    NodeEvidence { node: node.to_owned(), subjects, since: None, until: None, watched_seconds: 0, gaps: 0, lost }
}

#[cfg(test)]
mod tests {
    use foretell_policy::report::preview::{Preview, WireChange};
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use crate::judge::preview::preview;
    use crate::scene::{Scene, WINDOW, audit_policy, flow, noon, spec};

    use super::*;

    const HOUR: SignedDuration = SignedDuration::from_hours(1);
    const NONE: SignedDuration = SignedDuration::ZERO;

    /// The result for the only policy.
    fn promotion_of(scene: &mut Scene, min_window: SignedDuration) -> Promotion {
        let judged = scene.judge(min_window);
        assert_eq!(judged.policies.len(), 1);
        judged.policies[0].promotion.clone()
    }

    /// The gate's decision about a change that adds a NetworkPolicy of this spec.
    fn decision(scene: &mut Scene, spec: &Value, min_window: SignedDuration) -> Decision {
        let metadata = json!({"namespace": "shop", "name": "web"});
        let object = json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": metadata,
            "spec": spec});
        let place = json!({"file": "web.yaml", "document": 1, "item": ""});
        let change = json!({"before": [], "after": [{"object": object, "place": place}]});
        let question = Preview {
            base: String::new(),
            head: String::new(),
            window_seconds: None,
            min_window_seconds: Some(u32::try_from(min_window.as_secs()).unwrap()),
            exceptions_on_base_only: false,
            ranges: std::collections::BTreeMap::new(),
            cni: None,
            change: serde_json::from_value::<WireChange>(change).unwrap(),
        };
        let assembled = scene.assembled();
        preview(&assembled, &scene.window, WINDOW, question, noon()).unwrap().decision
    }

    #[test]
    fn a_policy_is_promotable_only_if_the_nodes_of_its_pods_were_watched_for_the_minimum() {
        let allowing = spec("web", &["batch"]);
        let scene = || Scene::new(&[audit_policy("web", &allowing)]).flow(&flow("batch", "web", 8080));
        for (case, mut scene, min_window, missing) in [
            ("long enough", scene().watched("n1", "10:00:00", "12:00:00"), HOUR, None),
            ("exactly", scene().watched("n1", "11:00:00", "12:00:00"), HOUR, None),
            (
                "too short",
                scene().watched("n1", "11:30:00", "12:00:00"),
                HOUR,
                Some("Node n1 was watched for 30m of the required 1h"),
            ),
            (
                "in two spans that suffice together",
                scene().watched("n1", "10:00:00", "10:40:00").watched("n1", "11:00:00", "11:40:00"),
                HOUR,
                None,
            ),
            ("on another node", scene().watched("n2", "10:00:00", "12:00:00"), HOUR, Some("node n1: it runs 1 pod")),
            (
                "on another node, without a minimum",
                scene().watched("n2", "10:00:00", "12:00:00"),
                NONE,
                Some("node n1: it runs 1 pod"),
            ),
            (
                "long enough, and too short on a node without its pods",
                scene().watched("n1", "10:00:00", "12:00:00").watched("n2", "11:59:00", "12:00:00"),
                HOUR,
                None,
            ),
            ("for a moment, without a minimum", scene().watched("n1", "11:59:59", "12:00:00"), NONE, None),
        ] {
            let found = promotion_of(&mut scene, min_window);
            let decision = decision(&mut scene, &allowing, min_window);
            match (&found, missing) {
                (Promotion::Allowed, None) => assert_eq!(decision, Decision::MayMerge, "{case}"),
                (Promotion::InsufficientEvidence { reasons }, Some(missing)) => {
                    assert!(reasons.iter().any(|reason| reason.contains(missing)), "{case}: {reasons:?}");
                    assert!(matches!(decision, Decision::Pending | Decision::Undecided), "{case}: {decision:?}");
                }
                _ => panic!("{case}: {found:?}"),
            }
        }
    }

    #[test]
    fn without_any_report_no_policy_is_promotable_even_without_a_minimum() {
        let mut scene = Scene::new(&[audit_policy("web", &spec("web", &["batch"]))]);
        for min_window in [NONE, HOUR] {
            let found = promotion_of(&mut scene, min_window);
            assert!(matches!(found, Promotion::InsufficientEvidence { .. }), "{min_window:?}: {found:?}");
        }
    }

    #[test]
    fn a_policy_is_not_promotable_if_only_a_domain_name_decides_a_connection_in_use() {
        let closed = json!({"podSelector": {"matchLabels": {"app": "web"}}, "policyTypes": ["Egress"]});
        let domain = json!({"name": "by-name", "action": "Accept", "to": [{"domainNames": ["example.com"]}]});
        let admin = json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
            "metadata": {"name": "names", "uid": "names"},
            "spec": {"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}, "egress": [domain]}});
        let mut scene = Scene::new(&[audit_policy("web", &closed), admin])
            .flow(&flow("web", "outside", 443))
            .watched("n1", "10:00:00", "12:00:00");
        assert_eq!(decision(&mut scene, &closed, HOUR), Decision::Undecided);
        let Promotion::InsufficientEvidence { reasons } = promotion_of(&mut scene, HOUR) else {
            panic!("{:?}", promotion_of(&mut scene, HOUR));
        };
        assert!(reasons.iter().any(|reason| reason.contains("example.com")), "{reasons:?}");
    }

    #[test]
    fn unresolved_denials_count_whatever_the_evidence() {
        let denying = spec("web", &[]);
        let scene = || Scene::new(&[audit_policy("web", &denying)]).flow(&flow("batch", "web", 8080));
        let twice = |scene: Scene| scene.flow(&flow("scraper", "web", 8080));
        for (mut scene, unresolved) in [
            (scene().watched("n1", "10:00:00", "12:00:00"), 1),
            (scene().watched("n1", "11:59:00", "12:00:00"), 1),
            (scene().watched("n2", "11:59:00", "12:00:00"), 1),
            (twice(scene().watched("n1", "10:00:00", "12:00:00")), 2),
        ] {
            assert_eq!(promotion_of(&mut scene, HOUR), Promotion::Denies { unresolved });
        }
    }

    #[test]
    fn a_policy_without_pods_needs_no_evidence_about_any_node() {
        let mut scene = Scene::new(&[audit_policy("web", &spec("nothing", &[]))]).watched("n1", "11:59:00", "12:00:00");
        assert_eq!(promotion_of(&mut scene, HOUR), Promotion::Allowed);
    }
}
