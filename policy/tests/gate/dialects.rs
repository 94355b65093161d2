//! Enforcers: judging as one of them does, and the differences that are listed when judging by the upstream specification.

use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::markdown;

use crate::manifests::policy;
use crate::stage::{Stage, denials, shop, short};

const BY_BLOCK: &str = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}";
const NO_EGRESS: &str = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";

/// `Cilium ipBlockMatchesNoPod: web -> cart TCP 8080 StillAllowed, there NewlyDenied`
fn differences(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for dialect in &report.dialects {
        for it in &dialect.differences {
            let (from, to) = match it.direction {
                foretell_objects::model::flow::Direction::Ingress => (&it.peer, &it.subject),
                foretell_objects::model::flow::Direction::Egress => (&it.subject, &it.peer),
            };
            lines.push(format!(
                "{} {}: {} -> {} {} {} {:?}, there {:?}",
                dialect.title,
                dialect.deviation,
                short(from),
                short(to),
                it.protocol,
                it.port,
                it.upstream,
                it.enforcer
            ));
        }
    }
    lines
}

fn by_block() -> Stage {
    shop().head("it.yaml", &policy("shop", "it", BY_BLOCK)).flow("web -> cart TCP 8080")
}

#[test]
fn what_upstream_allows_and_cilium_denies_is_listed_and_blocks_nothing() {
    let report = by_block().judge();
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0), "{:?}", report.reasons);
    assert!(report.cni.is_upstream());
    assert_eq!(
        differences(&report),
        ["Cilium ipBlockMatchesNoPod: web -> cart TCP 8080 StillAllowed, there NewlyDenied"]
    );
    assert_eq!(report.dialects[0].connections, 1);
    let page = markdown::render(&report);
    assert!(page.contains("### The answer depends on the enforcer"), "{page}");
    assert!(page.contains("https://docs.cilium.io/en/stable/security/policy/layer3/"), "{page}");
    assert!(page.contains("`Deployment/web` in `shop` to `Deployment/cart` in `shop`, TCP 8080"), "{page}");
}

#[test]
fn backends_of_a_service_are_listed_too() {
    let by_service = shop().head("it.yaml", &policy("shop", "it", BY_BLOCK)).flow("web -> cart-svc TCP 80").judge();
    assert_eq!(
        differences(&by_service),
        ["Cilium ipBlockMatchesNoPod: web -> cart TCP 8080 StillAllowed, there NewlyDenied"]
    );
}

#[test]
fn judged_as_cilium_its_answer_decides() {
    let report = by_block().under("cilium").judge();
    assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1));
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert!(report.dialects.is_empty(), "who enforces was said");
    assert_eq!(report.cni.to_string(), "cilium");
    let page = markdown::render(&report);
    assert!(page.contains("as `cilium` enforces policies"), "{page}");
    let with_pods = by_block().under("cilium,policy-cidr-match-mode=pods").judge();
    assert_eq!(with_pods.exit_status, 0, "{:?}", with_pods.reasons);
}

#[test]
fn what_every_enforcer_treats_alike_is_not_listed() {
    let labels = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {}}]}]}";
    let report = shop().head("it.yaml", &policy("shop", "it", labels)).flow("web -> cart TCP 8080").judge();
    assert_eq!(differences(&report), Vec::<String>::new());
    assert!(!markdown::render(&report).contains("depends on the enforcer"));
    let outside = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}";
    let report = shop().head("it.yaml", &policy("shop", "it", outside)).flow("203.0.113.9 -> cart TCP 8080").judge();
    assert_eq!(differences(&report), Vec::<String>::new(), "a block that takes what is outside");
    let unused = shop().head("it.yaml", &policy("shop", "it", BY_BLOCK)).judge();
    assert_eq!(differences(&unused), Vec::<String>::new(), "nothing is in use");
}

#[test]
fn a_pods_own_node_is_a_difference_of_cilium_and_calico() {
    let report = shop().head("it.yaml", &policy("shop", "it", NO_EGRESS)).flow("web -> 192.168.0.1 TCP 10250").judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    let flow = "ownNodeIsJudged: web -> 192.168.0.1 TCP 10250 StillAllowed, there NewlyDenied";
    assert_eq!(differences(&report), [format!("Cilium {flow}"), format!("Calico {flow}")]);
    assert_ne!(report.dialects[0].source, report.dialects[1].source);
}

#[test]
fn what_kube_router_allows_between_pods_of_one_node_is_listed() {
    let open = policy("data", "open", "{ingress: [{}]}");
    let stage = shop().live(&open).head("it.yaml", &policy("shop", "it", NO_EGRESS)).flow("web -> db TCP 5432");
    let report = stage.clone().judge();
    assert_eq!(report.exit_status, 1);
    let either = "kube-router eitherEndOnOneNode: web -> db TCP 5432";
    assert_eq!(differences(&report), [format!("{either} NewlyDenied, there StillAllowed")]);
    assert_eq!(stage.under("kube-router").judge().exit_status, 0);
}

#[test]
fn what_only_the_other_end_allows_today_is_listed_when_the_change_closes_it() {
    // As upstream has it web is closed already, so that nothing is newly denied; the traffic is in use all the same.
    let stage = shop()
        .live(&policy("shop", "closed", NO_EGRESS))
        .base("open.yaml", &policy("data", "open", "{ingress: [{}]}"))
        .live(&policy("data", "open", "{ingress: [{}]}"))
        .head("open.yaml", &policy("data", "open", "{policyTypes: [Ingress]}"))
        .flow("web -> db TCP 5432");
    let report = stage.clone().judge();
    assert_eq!(report.exit_status, 0, "{:?}", report.reasons);
    let found = differences(&report);
    assert_eq!(found, ["kube-router eitherEndOnOneNode: web -> db TCP 5432 StillDenied, there NewlyDenied"]);
    let there = stage.under("kube-router").judge();
    assert_eq!(there.exit_status, 1, "{:?}", there.reasons);
}

#[test]
fn excepts_and_named_ports_of_kube_router_are_listed() {
    let excepts = "{podSelector: {matchLabels: {app: web}}, egress: [{to: [{ipBlock: {cidr: 203.0.113.0/24, except: \
                   [203.0.113.8/30]}}, {ipBlock: {cidr: 203.0.113.0/28}}]}]}";
    let report = shop().head("it.yaml", &policy("shop", "it", excepts)).flow("web -> 203.0.113.9 TCP 443").judge();
    assert_eq!(
        differences(&report),
        ["kube-router exceptOfTheRule: web -> 203.0.113.9 TCP 443 StillAllowed, there NewlyDenied"]
    );
    let named = "{podSelector: {matchLabels: {app: web}}, egress: [{ports: [{port: sql}]}]}";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: sql, namespace: data, labels: {app: sql}}\nspec: {nodeName: n2, \
               containers: [{name: sql, image: sql, ports: [{name: sql, containerPort: 5432}]}]}\nstatus: {phase: Running, \
               podIP: 10.1.2.66, podIPs: [{ip: 10.1.2.66}]}";
    let report =
        shop().live(pod).head("it.yaml", &policy("shop", "it", named)).flow("web -> 10.1.2.66 TCP 5432").judge();
    assert_eq!(
        differences(&report),
        ["kube-router namedPortOfTheNamespace: web -> sql TCP 5432 StillAllowed, there NewlyDenied"]
    );
}

/// A pod of an enforcer's agent, as its own manifests label it.
fn agent(namespace: &str, name: &str, label: &str) -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: {name}-x5z2w, namespace: {namespace}, labels: {{{label}}}, ownerReferences: [{{kind: DaemonSet, name: {name}, controller: true}}]}}
spec: {{nodeName: n1, hostNetwork: true, containers: [{{name: agent, image: agent}}]}}
status: {{phase: Running, podIP: 192.168.0.1, hostIP: 192.168.0.1}}"
    )
}

fn note(stage: &Stage) -> Option<String> {
    stage.judge().notes.into_iter().find(|note| note.contains("this cluster runs"))
}

#[test]
fn an_enforcer_that_is_recognised_and_was_not_judged_by_is_noted() {
    for (namespace, name, label, noted) in [
        (
            "kube-system",
            "cilium",
            "k8s-app: cilium",
            Some("this cluster runs Cilium (pods of kube-system/cilium): judge with --cni cilium"),
        ),
        (
            "calico-system",
            "calico-node",
            "k8s-app: calico-node",
            Some("this cluster runs Calico (pods of calico-system/calico-node): judge with --cni calico"),
        ),
        (
            "kube-system",
            "kube-router",
            "k8s-app: kube-router",
            Some("this cluster runs kube-router (pods of kube-system/kube-router): judge with --cni kube-router"),
        ),
        ("kube-system", "antrea-agent", "component: antrea-agent", None),
        ("kube-system", "kindnet", "app: kindnet", None),
    ] {
        let stage = by_block().live(&agent(namespace, name, label));
        assert_eq!(note(&stage).as_deref(), noted, "{name}");
    }
    let cilium = || by_block().live(&agent("kube-system", "cilium", "k8s-app: cilium"));
    assert_eq!(note(&cilium().under("cilium")), None);
    assert_eq!(
        note(&cilium().under("cilium,policy-cidr-match-mode=nodes")),
        None,
        "how it is set up is the user's to know"
    );
    assert!(note(&cilium().under("calico")).unwrap().contains("--cni cilium"));
    assert_eq!(note(&by_block()), None);
}

#[test]
fn a_network_that_enforces_nothing_is_noted_unless_an_enforcer_runs_beside_it() {
    let flannel = agent("kube-flannel", "kube-flannel-ds", "app: flannel");
    let alone = note(&by_block().live(&flannel)).unwrap();
    assert!(
        alone.starts_with("this cluster runs Flannel (pods of kube-flannel/kube-flannel-ds), which enforces no"),
        "{alone}"
    );
    let canal = by_block().live(&flannel).live(&agent("kube-system", "canal", "k8s-app: canal")).under("calico");
    assert_eq!(note(&canal), None);
}

#[test]
fn k3s_is_recognised_by_its_nodes() {
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n3, labels: {node.kubernetes.io/instance-type: k3s}}}";
    assert!(note(&by_block().live(node)).unwrap().contains("--cni kube-router"));
    let with_cilium = by_block().live(node).live(&agent("kube-system", "cilium", "k8s-app: cilium"));
    assert!(note(&with_cilium).unwrap().contains("--cni cilium"), "which takes the place of the one within");
}

#[test]
fn what_administrators_decide_is_no_difference() {
    let accept = "{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy, metadata: {name: all}, \
        spec: {tier: Admin, priority: 1, subject: {namespaces: {}}, ingress: [{action: Accept, from: [{namespaces: {}}]}]}}";
    assert!(!differences(&by_block().judge()).is_empty());
    assert_eq!(differences(&by_block().live(accept).judge()), [""; 0]);
}

#[test]
fn a_difference_is_found_where_other_policies_name_blocks_too() {
    let elsewhere = "{podSelector: {matchLabels: {app: pay}}, ingress: [{from: [{ipBlock: {cidr: 10.1.0.0/16}}]}]}";
    let alone = differences(&by_block().judge());
    assert!(!alone.is_empty());
    assert_eq!(differences(&by_block().live(&policy("shop", "pay", elsewhere)).judge()), alone);
}

#[test]
fn under_the_vpc_cni_a_policy_has_to_open_the_address_of_a_service() {
    let to = |peer: &str| {
        format!("{{podSelector: {{matchLabels: {{app: web}}}}, policyTypes: [Egress], egress: [{{to: [{peer}]}}]}}")
    };
    // `cart-svc` selects by `app` alone.
    for (peer, upstream, there) in [
        ("{podSelector: {matchLabels: {app: cart, tier: back}}}", Decision::MayMerge, Decision::Blocked),
        ("{podSelector: {matchLabels: {app: cart}}}", Decision::MayMerge, Decision::MayMerge),
        ("{ipBlock: {cidr: 10.96.0.10/32}}", Decision::Blocked, Decision::MayMerge),
    ] {
        let stage = || shop().head("it.yaml", &policy("shop", "it", &to(peer))).flow("web -> cart-svc TCP 80");
        assert_eq!(stage().judge().decision, upstream, "{peer}");
        let report = stage().under("aws-vpc-cni").judge();
        assert_eq!(report.decision, there, "{peer}");
        for denial in &report.denials {
            let message = &denial.policies[0].message;
            assert!(message.contains("for the Amazon VPC CNI egress policies see"), "{message}");
        }
    }
}

#[test]
fn a_service_that_no_longer_selects_as_the_policy_asks_is_cut_off_under_the_vpc_cni() {
    let enforced = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress], egress: [{to: [{podSelector: {matchLabels: {app: cart}}}]}]}";
    let service = |selector: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart-svc, namespace: shop}}\nspec: {{clusterIP: 10.96.0.10, selector: {selector}, ports: [{{port: 80, targetPort: 8080}}]}}\n"
        )
    };
    let stage = || {
        shop()
            .live(&policy("shop", "it", enforced))
            .base("svc.yaml", &service("{app: cart}"))
            .head("svc.yaml", &service("{tier: back}"))
            .flow("web -> cart-svc TCP 80")
    };
    assert_eq!(stage().under("aws-vpc-cni").judge().decision, Decision::Blocked);
}
