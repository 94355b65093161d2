//! What the snapshot lacks: "could not decide" where the answer depends on it, and nowhere else.

use foretell_policy::report::data::{Decision, Report};
use serde_json::json;

use crate::manifests::{audit, policy, workload};
use crate::stage::{EVERYBODY, NOBODY, PROM_ONLY, Stage, denials, shop};

fn assert_undecided(case: &str, report: &Report, place: &str, what: &str) {
    assert_eq!((report.decision, report.exit_status), (Decision::Undecided, 2), "{case}: {:?}", report.reasons);
    let part = &report.undecided[0];
    assert_eq!(part.places, [place], "{case}: {part:?}");
    assert!(part.what.contains(what), "{case}: {}", part.what);
    assert!(report.reasons[0].contains(&part.what) && !part.fix.is_empty(), "{case}: {:?}", report.reasons);
}

#[test]
fn without_any_pod_nothing_is_known_of_what_policies_select() {
    let web = |labels: &str| workload("Deployment", "shop", "web", labels, "[]");
    let empty = || shop().without("Pod").flow("web -> cart TCP 8080");
    let deny = policy("shop", "deny", NOBODY);
    for (case, stage, matters) in [
        ("a policy that denies is added", empty().head("it.yaml", &deny), true),
        (
            "a policy that denies is changed",
            empty().base("it.yaml", &policy("shop", "deny", EVERYBODY)).head("it.yaml", &deny),
            true,
        ),
        (
            "one of two policies is removed",
            empty().both("deny.yaml", &deny).base("it.yaml", &policy("shop", "it", EVERYBODY)),
            true,
        ),
        (
            "a workload is relabelled under a policy",
            empty().live(&deny).base("web.yaml", &web("{app: web}")).head("web.yaml", &web("{app: cart}")),
            true,
        ),
        // These deny nobody, whatever pods there are.
        ("a policy that allows everything is added", empty().head("it.yaml", &policy("shop", "it", EVERYBODY)), false),
        ("the only policy is removed", empty().base("it.yaml", &deny), false),
        (
            "a workload is relabelled without any policy",
            empty().base("web.yaml", &web("{app: web}")).head("web.yaml", &web("{app: cart}")),
            false,
        ),
        ("nothing that counts is changed", empty().both("deny.yaml", &deny), false),
    ] {
        let report = stage.judge();
        if matters {
            assert_undecided(case, &report, "snapshot", "it holds no Pods");
        } else {
            assert_eq!(report.decision, Decision::MayMerge, "{case}: {:?}", report.reasons);
        }
    }
    let preview = empty().head("it.yaml", &audit("shop", "it", NOBODY)).judge();
    assert_eq!(preview.decision, Decision::MayMerge);
    assert!(preview.previews[0].undecided[0].what.contains("it holds no Pods"), "{:?}", preview.previews[0].undecided);
}

/// The shop after a rollout of `late`, whose only known pod started at noon on the day before.
fn rolled_out(spec: &str) -> Stage {
    let status = json!({"phase": "Running", "podIP": "10.1.1.60", "podIPs": [{"ip": "10.1.1.60"}], "startTime": "2026-11-20T12:00:00Z"});
    shop()
        .pod_with("late", ("Deployment", "shop", "late"), "n1", &json!({"app": "late"}), &status, &json!({}))
        .head("it.yaml", &policy("shop", "it", spec))
}

#[test]
fn a_workload_whose_traffic_may_all_be_that_of_unknown_pods_is_undecided() {
    let early = |src: &str, dst: serde_json::Value| json!({"start": "2026-11-19T12:00:00Z", "end": "2026-11-19T12:00:10Z", "src": {"ip": src}, "dst": dst});
    let deny = "{podSelector: {matchLabels: {app: late}}, policyTypes: [Ingress]}";
    let deny_egress = "{podSelector: {matchLabels: {app: late}}, policyTypes: [Egress]}";
    let web_only =
        "{podSelector: {matchLabels: {app: late}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}";
    let web = "10.1.1.1";
    let named = |name: &str| json!({"ip": "10.1.1.61", "namespace": "shop", "pod": name});
    let flow = "web -> cart TCP 8080";
    for (case, stage, undecided) in [
        ("an address of pods", rolled_out(deny).flow_with(flow, &early(web, json!({"ip": "10.1.1.61"}))), true),
        ("the same address before", rolled_out(deny).flow_with(flow, &early(web, json!({"ip": "10.1.1.60"}))), true),
        (
            "an unknown UID",
            rolled_out(deny).flow_with(flow, &early(web, json!({"ip": "10.1.1.61", "podUid": "gone"}))),
            true,
        ),
        ("its name", rolled_out(deny).flow_with(flow, &early(web, named("late-5d4f-abcde"))), true),
        ("its name, later", rolled_out(deny).flow_with(flow, &json!({"dst": named("late-5d4f-abcde")})), true),
        ("leaving", rolled_out(deny_egress).flow_with(flow, &early("10.1.1.61", json!({"ip": "10.1.2.2"}))), true),
        // The answer does not depend on these.
        ("another name", rolled_out(deny).flow_with(flow, &early(web, named("other-5d4f-abcde"))), false),
        (
            "the policy would allow it",
            rolled_out(web_only).flow_with(flow, &early(web, json!({"ip": "10.1.1.61"}))),
            false,
        ),
        (
            "the other direction",
            rolled_out(deny_egress).flow_with(flow, &early(web, json!({"ip": "10.1.1.61"}))),
            false,
        ),
        ("no pod", rolled_out(deny).flow_with(flow, &early(web, json!({"ip": "203.0.113.9"}))), false),
        ("after its start", rolled_out(deny).flow_with(flow, &json!({"dst": {"ip": "10.1.1.61"}})), false),
        (
            "refused",
            rolled_out(deny).flow_with(
                flow,
                &json!({"start": "2026-11-19T12:00:00Z", "end": "2026-11-19T12:00:10Z", "dst": {"ip": "10.1.1.61"},
                    "outcome": "refused"}),
            ),
            false,
        ),
    ] {
        let report = stage.judge();
        if undecided {
            assert_undecided(
                case,
                &report,
                "Deployment shop/late",
                "1 connection in use of pods that the snapshot does not hold",
            );
            assert!(report.undecided[0].fix.contains("--append"));
        } else {
            assert_eq!(report.decision, Decision::MayMerge, "{case}: {:?}", report.reasons);
        }
    }
    // Traffic of its own shows what it is used for.
    let known = rolled_out(web_only)
        .flow_with(flow, &early(web, json!({"ip": "10.1.1.61"})))
        .flow_with("prom -> cart TCP 9", &early("10.1.2.7", json!({"ip": "10.1.1.61"})))
        .flow_with(flow, &json!({"dst": {"ip": "10.1.1.60"}}))
        .judge();
    assert_eq!(known.decision, Decision::MayMerge, "{:?}", known.reasons);
    // A pod that was there all the time has no unknown predecessors.
    let lonely = "{podSelector: {matchLabels: {app: lonely}}, policyTypes: [Ingress]}";
    let old = shop().head("it.yaml", &policy("ops", "it", lonely));
    let old = old.flow_with(flow, &early(web, json!({"ip": "10.1.1.61"}))).judge();
    assert_eq!(old.decision, Decision::MayMerge, "{:?}", old.reasons);
}

#[test]
fn a_namespace_whose_pods_only_flows_name_is_undecided() {
    let named = json!({"dst": {"ip": "10.1.1.61", "namespace": "late", "pod": "api-0"}});
    let stage = |spec: &str| shop().head("it.yaml", &policy("late", "it", spec));
    let deny = "{podSelector: {}, policyTypes: [Ingress]}";
    let report = stage(deny).flow_with("web -> cart TCP 8080", &named).judge();
    assert_undecided(
        "named",
        &report,
        "it.yaml, document 1",
        "holds no Pod of namespace late, and flows in use name 1 pod of it",
    );
    for report in [
        stage("{podSelector: {}, ingress: [{}]}").flow_with("web -> cart TCP 8080", &named).judge(),
        stage(deny).flow_with("web -> cart TCP 8080", &json!({"dst": {"ip": "10.1.1.61"}})).judge(),
        stage(deny).judge(),
    ] {
        assert_eq!(report.decision, Decision::MayMerge, "{:?}", report.reasons);
    }
}

#[test]
fn labels_of_a_namespace_that_the_snapshot_lacks_are_undecided_where_a_policy_asks_for_them() {
    let by_name = PROM_ONLY.replace("team: ops", "kubernetes.io/metadata.name: ops");
    let from = |selector: &str| {
        format!(
            "{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{{from: [{{namespaceSelector: {selector}}}]}}]}}"
        )
    };
    let in_two_ways = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}]}, \
                       {from: [{ipBlock: {cidr: 10.1.2.7/32}}]}]}";
    let admin = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: guard}, spec: {priority: 1, \
                 subject: SUBJECT, ingress: [{action: Deny, from: [FROM]}]}}";
    let admin = |subject: &str, from: &str| admin.replace("SUBJECT", subject).replace("FROM", from);
    let everything = "{namespaces: {}}";
    let team = |name: &str| format!("{{namespaces: {{matchLabels: {{team: {name}}}}}}}");
    for (case, manifest, decision) in [
        ("a label", policy("shop", "it", PROM_ONLY), Decision::Undecided),
        ("the name", policy("shop", "it", &by_name), Decision::MayMerge),
        ("every namespace", policy("shop", "it", &from("{}")), Decision::MayMerge),
        ("no namespace", policy("shop", "it", NOBODY), Decision::Blocked),
        (
            "another name and a label",
            policy("shop", "it", &from("{matchLabels: {team: ops, kubernetes.io/metadata.name: data}}")),
            Decision::Blocked,
        ),
        (
            "a label of other pods",
            policy("shop", "it", &PROM_ONLY.replace("app: prom", "app: agent")),
            Decision::Blocked,
        ),
        (
            "a label, and another port",
            policy("shop", "it", &PROM_ONLY.replace("port: http", "port: 9")),
            Decision::Blocked,
        ),
        ("a label, and its address", policy("shop", "it", in_two_ways), Decision::MayMerge),
        (
            "the absence of a label",
            policy("shop", "it", &from("{matchExpressions: [{key: team, operator: DoesNotExist}]}")),
            Decision::Undecided,
        ),
        (
            "another value of a label",
            policy("shop", "it", &from("{matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}")),
            Decision::Undecided,
        ),
        ("an administrator's rule", admin(everything, &team("ops")), Decision::Undecided),
        ("an administrator's subject", admin(&team("shop"), everything), Decision::Undecided),
        (
            "an administrator's policy by name",
            admin("{namespaces: {matchLabels: {kubernetes.io/metadata.name: data}}}", everything),
            Decision::MayMerge,
        ),
    ] {
        let stage = shop().head("it.yaml", &manifest).flow("prom -> cart TCP 8080");
        let report = stage.clone().without("Namespace").judge();
        assert_eq!(report.decision, decision, "{case}: {:?}", report.reasons);
        if decision == Decision::Undecided {
            assert_undecided(
                case,
                &report,
                "it.yaml, document 1",
                "and the snapshot holds no such Namespace. 1 connection in use depends",
            );
        }
        assert_ne!(stage.judge().decision, Decision::Undecided, "{case}");
    }
    // Git knows the labels, or the traffic has no end there.
    let known = "{apiVersion: v1, kind: Namespace, metadata: {name: ops, labels: {team: ops}}}";
    let stage = shop().head("it.yaml", &policy("shop", "it", PROM_ONLY)).without("Namespace");
    let in_git = stage.clone().both("ops.yaml", known).flow("prom -> cart TCP 8080").judge();
    assert_eq!(in_git.decision, Decision::MayMerge, "{:?}", in_git.reasons);
    let within = stage.clone().flow("web -> cart TCP 8080").judge();
    assert_eq!(within.decision, Decision::Blocked, "no label of its namespace makes it match");
    assert_eq!(stage.flow("203.0.113.9 -> cart TCP 8080").judge().decision, Decision::Blocked);
}

#[test]
fn without_any_node_an_address_may_be_the_pods_own_node() {
    let stage = |from: &str| {
        let shop = shop().without("Node").head("it.yaml", &policy("shop", "it", NOBODY));
        shop.flow(&format!("{from} -> cart TCP 8080")).judge()
    };
    assert_undecided("private", &stage("192.168.0.2"), "snapshot", "which policies always allow: 192.168.0.2");
    for from in ["203.0.113.9", "web"] {
        assert_eq!(stage(from).decision, Decision::Blocked, "{from}");
    }
    // An agent reports the addresses of its node.
    let reported = json!({"report": {"node": "n2", "start": "2026-11-20T00:00:00Z", "end": "2026-11-21T12:00:00Z",
        "addresses": ["192.168.0.2"], "lost": {}}});
    let shop = shop().without("Node").head("it.yaml", &policy("shop", "it", NOBODY)).line(reported);
    assert_eq!(shop.clone().flow("192.168.0.2 -> cart TCP 8080").judge().decision, Decision::MayMerge);
    assert_eq!(shop.flow("192.168.0.9 -> cart TCP 8080").judge().decision, Decision::Blocked);
    assert_eq!(denials(&stage("192.168.0.2")).len(), 1);
}

#[test]
fn without_any_node_a_rule_about_nodes_is_undecided() {
    let rule = "{apiVersion: policy.networking.k8s.io/v1alpha1, kind: AdminNetworkPolicy, metadata: {name: guard}, spec: {priority: 1, \
                subject: {namespaces: {}}, egress: [{action: Deny, to: [{nodes: {}}]}]}}";
    let stage = shop().head("guard.yaml", rule);
    assert_eq!(stage.clone().judge().decision, Decision::MayMerge);
    assert_undecided("nodes", &stage.without("Node").judge(), "guard.yaml, document 1", "has a rule about nodes");
}

#[test]
fn a_workload_that_only_unknown_pods_use_is_undecided_if_a_rule_may_select_them() {
    let unknown = json!({"src": {"ip": "10.1.1.61"}});
    let stage =
        |spec: &str| shop().head("it.yaml", &policy("shop", "it", spec)).flow_with("web -> cart TCP 8080", &unknown);
    let block = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}";
    for (case, stage, decision) in [
        ("a rule for pods", stage(PROM_ONLY), Decision::Undecided),
        ("no rules", stage(NOBODY), Decision::Blocked),
        ("a rule for addresses", stage(block), Decision::Blocked),
        ("a rule for another port", stage(&PROM_ONLY.replace("port: http", "port: 9")), Decision::Blocked),
        ("known pods use it as well", stage(PROM_ONLY).flow("prom -> cart TCP 8080"), Decision::Blocked),
        ("everybody may", stage(EVERYBODY), Decision::MayMerge),
    ] {
        let report = stage.judge();
        assert_eq!(report.decision, decision, "{case}: {:?}", report.reasons);
        if decision == Decision::Undecided {
            let what = "all its connections in use (Ingress) are with pods that the snapshot does not hold, and NetworkPolicy shop/it \
                        may select them: 1 connection would be denied if not";
            assert_undecided(case, &report, "Deployment shop/cart", what);
            assert_eq!(denials(&report).len(), 1);
        }
    }
}
