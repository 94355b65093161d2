//! Changes of what selectors see: template labels, Namespace labels, Services, container ports.

use foretell_policy::report::connection::{DenialCause, State};
use foretell_policy::report::data::Report;
use serde_json::json;

use crate::manifests::{policy, workload};
use crate::stage::{NOBODY, PROM_AND_WEB, Stage, denials, listed, shop};

/// Selects `cart`, and lets everybody in who carries `app: NAME`, wherever it is.
fn only(name: &str) -> String {
    format!(
        "{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{{from: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: {name}}}}}}}]}}]}}"
    )
}

/// The template labels of a workload change.
fn relabelled(stage: Stage, kind: &str, namespace: &str, name: &str, from: &str, to: &str) -> Stage {
    let path = format!("{name}.yaml");
    stage
        .base(&path, &workload(kind, namespace, name, from, "[]"))
        .head(&path, &workload(kind, namespace, name, to, "[]"))
}

fn causes(report: &Report) -> Vec<&str> {
    assert!(
        report.denials.iter().all(|denial| denial.policies[0].cause == DenialCause::Identity),
        "{:?}",
        report.denials
    );
    report.denials.iter().flat_map(|denial| &denial.caused_by).map(String::as_str).collect()
}

#[test]
fn a_relabelled_workload_of_any_kind_that_is_let_in_no_longer_is_blocked() {
    for (kind, namespace, name) in [
        ("Deployment", "shop", "web"),
        ("StatefulSet", "data", "db"),
        ("DaemonSet", "ops", "agent"),
        ("Job", "data", "migrate"),
        ("CronJob", "ops", "batch"),
        ("Pod", "ops", "lonely"),
    ] {
        let stage = shop().live(&policy("shop", "it", &only(name))).flow(&format!("{name} -> cart TCP 8080"));
        let report = relabelled(stage, kind, namespace, name, &format!("{{app: {name}}}"), "{app: other}").judge();
        assert_eq!(report.exit_status, 1, "{kind}");
        assert_eq!(denials(&report), [format!("Unresolved Ingress {name} -> cart TCP 8080 by shop/it")]);
        assert_eq!(
            causes(&report),
            [format!(r#"{kind} {namespace}/{name}: labels.app: "{name}" becomes "other""#)],
            "{kind}"
        );
        assert!(report.policies.is_empty());
    }
}

#[test]
fn a_relabelled_replica_set_of_nobody_is_blocked_too() {
    let stage = shop()
        .pod("bare", ("ReplicaSet", "ops", "bare"), "n1", "10.1.1.77", &json!({"app": "bare"}))
        .live(&policy("shop", "it", &only("bare")))
        .flow("10.1.1.77 -> cart TCP 8080");
    let report = relabelled(stage, "ReplicaSet", "ops", "bare", "{app: bare}", "{app: other}").judge();
    assert_eq!(denials(&report), ["Unresolved Ingress bare -> cart TCP 8080 by shop/it"]);
    assert_eq!(causes(&report), [r#"ReplicaSet ops/bare: labels.app: "bare" becomes "other""#]);
}

#[test]
fn a_relabelled_workload_that_a_policy_selects_from_now_on_is_blocked() {
    let stage = shop()
        .live(&policy("shop", "it", "{podSelector: {matchLabels: {zone: red}}, policyTypes: [Ingress]}"))
        .flow("web -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "cart", "{app: cart}", "{app: cart, zone: red}").judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(causes(&report), [r#"Deployment shop/cart: labels.zone: "red" is added"#]);
    assert_eq!(report.exit_status, 1);
}

#[test]
fn a_relabelled_workload_may_be_let_in_from_now_on() {
    let stage = shop().live(&policy("shop", "it", &only("vip"))).flow("web -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "web", "{app: web}", "{app: vip}").judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(
        listed(&report.newly_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/it ingress[0]"]
    );
}

#[test]
fn relabelling_where_nothing_looks_at_the_label_may_merge() {
    let stage = shop().live(&policy("shop", "it", &only("web"))).flow("web -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "web", "{app: web}", "{app: web, version: v2}").judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.identities.len(), 1);
    assert_eq!(report.identities[0].differences, [r#"labels.version: "v2" is added"#]);
    let stage = shop().flow("web -> cart TCP 8080");
    assert_eq!(relabelled(stage, "Deployment", "shop", "web", "{app: web}", "{app: x}").judge().exit_status, 0);
}

#[test]
fn relabelling_together_with_its_policy_may_merge() {
    let stage = shop()
        .base("it.yaml", &policy("shop", "it", &only("web")))
        .head("it.yaml", &policy("shop", "it", &only("front")))
        .flow("web -> cart TCP 8080");
    let alone = stage.judge();
    assert_eq!(alone.exit_status, 1);
    let report = relabelled(stage, "Deployment", "shop", "web", "{app: web}", "{app: front}").judge();
    assert_eq!(report.exit_status, 0, "{:?}", denials(&report));
}

#[test]
fn labels_that_a_controller_or_an_injector_adds_stay() {
    let labels = json!({"app": "mesh", "mesh.io/injected": "yes"});
    let injected = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchExpressions: [{key: mesh.io/injected, operator: Exists}, {key: pod-template-hash, operator: Exists}]}}]}]}";
    let stage = shop()
        .pod("mesh", ("Deployment", "shop", "mesh"), "n1", "10.1.1.77", &labels)
        .live(&policy("shop", "it", injected))
        .flow("10.1.1.77 -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "mesh", "{app: mesh}", "{app: renamed}").judge();
    assert_eq!(report.exit_status, 0, "{:?}", denials(&report));
    assert_eq!(report.identities.len(), 1);
}

#[test]
fn a_label_that_the_template_loses_is_lost() {
    let stage = shop().live(&policy("shop", "it", &only("web"))).flow("web -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "web", "{app: web, kept: here}", "{kept: here}").judge();
    assert_eq!(causes(&report), [r#"Deployment shop/web: labels.app: "web" is removed"#]);
    assert_eq!(report.exit_status, 1);
}

#[test]
fn a_relabelled_namespace_cuts_traffic() {
    let team = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{namespaceSelector: {matchLabels: {team: ops}}}]}]}";
    let namespace =
        |team: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: ops, labels: {{team: {team}}}}}\n");
    let report = shop()
        .live(&policy("shop", "it", team))
        .base("ops.yaml", &namespace("ops"))
        .head("ops.yaml", &namespace("platform"))
        .flow("prom -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress prom -> cart TCP 8080 by shop/it"]);
    assert_eq!(causes(&report), [r#"Namespace ops: labels.team: "ops" becomes "platform""#]);
    assert_eq!(report.exit_status, 1);
}

fn service(selector: &str, port: u16, target: u16) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: cart-svc, namespace: shop}}\nspec: {{selector: {selector}, ports: [{{port: {port}, targetPort: {target}}}]}}\n"
    )
}

#[test]
fn a_service_that_leads_to_other_pods_cuts_traffic_that_these_do_not_take() {
    let closed = "{podSelector: {matchLabels: {app: pay}}, policyTypes: [Ingress]}";
    let report = shop()
        .live(&policy("shop", "closed", closed))
        .base("svc.yaml", &service("{app: cart}", 80, 8080))
        .head("svc.yaml", &service("{app: pay}", 80, 8080))
        .flow("web -> cart-svc TCP 80")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> pay TCP 8080 by shop/closed"]);
    assert_eq!(causes(&report), [r#"Service shop/cart-svc: selector.app: "cart" becomes "pay""#]);
    assert_eq!(report.exit_status, 1);
}

#[test]
fn a_service_that_leads_to_another_port_cuts_traffic_that_is_not_let_in_there() {
    let one_port = "{podSelector: {matchLabels: {app: cart}}, ingress: [{ports: [{port: 8080}]}]}";
    let report = shop()
        .live(&policy("shop", "it", one_port))
        .base("svc.yaml", &service("{app: cart}", 80, 8080))
        .head("svc.yaml", &service("{app: cart}", 80, 9090))
        .flow("web -> cart-svc TCP 80")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 9090 by shop/it"]);
    assert!(causes(&report)[0].starts_with("Service shop/cart-svc: ports:"), "{:?}", causes(&report));
}

#[test]
fn ports_of_a_service_that_a_change_leaves_alone_are_the_clusters() {
    let by_port = "{podSelector: {matchLabels: {app: cart}}, ingress: [{ports: [{port: 8080}]}]}";
    let stage = |selector: &str| {
        shop()
            .base("svc.yaml", &service("{app: cart}", 80, 9090))
            .head("svc.yaml", &service(selector, 80, 9090))
            .head("it.yaml", &policy("shop", "it", by_port))
            .flow("web -> cart-svc TCP 80")
    };
    assert_eq!(denials(&stage("{app: cart}").judge()), [""; 0], "Git holds another port, before and after");
    assert_eq!(denials(&stage("{app: cart, tier: back}").judge()), [""; 0]);
}

#[test]
fn only_a_service_that_leads_to_the_denied_is_named_as_a_cause() {
    let stage = shop()
        .live(&policy("shop", "it", &only("web")))
        .base("svc.yaml", &service("{app: pay}", 80, 8080))
        .head("svc.yaml", &service("{app: pay}", 80, 9090))
        .flow("web -> cart TCP 8080");
    let report = relabelled(stage, "Deployment", "shop", "web", "{app: web}", "{app: other}").judge();
    assert_eq!(causes(&report), [r#"Deployment shop/web: labels.app: "web" becomes "other""#]);
}

#[test]
fn a_service_that_leaves_the_pods_behind_it_says_so() {
    let report = shop()
        .base("svc.yaml", &service("{app: cart}", 80, 8080))
        .head("svc.yaml", &service("{app: nothing}", 80, 8080))
        .flow("web -> cart-svc TCP 80")
        .judge();
    assert_eq!(report.notes, ["Service shop/cart-svc no longer selects any of its current pods"]);
}

#[test]
fn a_relabelled_backend_that_its_service_no_longer_finds_cuts_what_clients_may_reach() {
    let to_cart =
        "{podSelector: {matchLabels: {app: web}}, egress: [{to: [{podSelector: {matchLabels: {app: cart}}}]}]}";
    let stage = shop().live(&policy("shop", "out", to_cart)).flow("web -> cart-svc TCP 80");
    let report = relabelled(stage, "Deployment", "shop", "cart", "{app: cart}", "{app: basket}").judge();
    assert_eq!(report.exit_status, 1, "{report:#?}");
    assert!(report.notes[0].contains("no longer selects any"), "{:?}", report.notes);
    let [denial] = &report.denials[..] else { panic!("{:?}", report.denials) };
    assert_eq!(denial.policies[0].cause, DenialCause::Identity);
    assert_eq!(causes(&report), [r#"Deployment shop/cart: labels.app: "cart" becomes "basket""#]);
}

#[test]
fn a_renamed_container_port_cuts_traffic_that_is_let_in_by_name() {
    let by_name = "{podSelector: {matchLabels: {app: cart}}, ingress: [{ports: [{port: http}]}]}";
    let cart = |port: &str| {
        workload("Deployment", "shop", "cart", "{app: cart}", &format!("[{{name: {port}, containerPort: 8080}}]"))
    };
    let report = shop()
        .live(&policy("shop", "it", by_name))
        .base("cart.yaml", &cart("http"))
        .head("cart.yaml", &cart("web"))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert!(causes(&report)[0].starts_with("Deployment shop/cart: ports: "), "{:?}", causes(&report));
    assert_eq!(report.exit_status, 1);
}

#[test]
fn ports_that_a_template_does_not_name_stay() {
    let cart = |port: &str| {
        workload("Deployment", "shop", "cart", "{app: cart}", &format!("[{{name: {port}, containerPort: 9090}}]"))
    };
    // The pod's own `http` is no template's: somebody injects it.
    for (from, to) in [("metrics", "metrics"), ("metrics", "stats")] {
        let by_name = "{podSelector: {matchLabels: {app: cart}}, ingress: [{ports: [{port: http}]}]}";
        let report = shop()
            .head("it.yaml", &policy("shop", "it", by_name))
            .base("cart.yaml", &cart(from))
            .head("cart.yaml", &cart(to))
            .flow("web -> cart TCP 8080")
            .judge();
        assert_eq!(denials(&report), [""; 0], "{from} {to}");
    }
}

#[test]
fn an_image_or_a_count_of_replicas_is_no_change() {
    let web = workload("Deployment", "shop", "web", "{app: web}", "[]");
    let report = shop()
        .live(&policy("shop", "it", NOBODY))
        .base("web.yaml", &web)
        .head("web.yaml", &web.replace("image: c", "image: c:2").replace("selector:", "replicas: 3, selector:"))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(report.identities.is_empty());
    assert_eq!(report.headline, "May merge: no policy changed, and no object that policies refer to");
}

/// A pod of a workload that went at ten o'clock, with what labels it had.
fn gone(stage: Stage, name: &str, ip: &str, labels: &serde_json::Value) -> Stage {
    stage.pod_with(
        name,
        ("Deployment", "shop", name),
        "n1",
        labels,
        &json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}),
        &json!({"foretell.dev/gone-at": "2026-11-21T10:00:00Z"}),
    )
}

const WHILE_IT_LIVED: &str = "2026-11-21T09:00:00Z";

#[test]
fn a_pod_that_has_gone_is_judged_as_its_workload_is_now() {
    let stage = gone(shop(), "web", "10.1.1.99", &json!({"app": "old-web"}))
        .head("it.yaml", &policy("shop", "it", PROM_AND_WEB))
        .flow_with("10.1.1.99 -> cart TCP 8080", &json!({"start": WHILE_IT_LIVED, "end": WHILE_IT_LIVED}));
    let report = stage.judge();
    assert_eq!(report.exit_status, 0, "{:?}", denials(&report));
    assert_eq!(report.policies[0].verdicts.allow, 1);
}

#[test]
fn the_newest_pod_of_a_workload_tells_how_it_is_now() {
    // During a roll-out pods of either template run.
    let old_and_new = |old: &str, new: &str, old_comes_first: bool| {
        let pod = |stage: Stage, app: &str, ip: &str, started: &str| {
            let status = json!({"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": started});
            stage.pod_with("dup", ("Deployment", "shop", "dup"), "n1", &json!({"app": app}), &status, &json!({}))
        };
        let old = |stage| pod(stage, old, "10.1.1.91", "2026-11-20T09:00:00Z");
        let new = |stage| pod(stage, new, "10.1.1.92", "2026-11-21T10:30:00Z");
        let both = if old_comes_first { new(old(shop())) } else { old(new(shop())) };
        gone(both, "dup", "10.1.1.99", &json!({"app": "older"}))
            .head("it.yaml", &policy("shop", "it", PROM_AND_WEB))
            .flow_with("10.1.1.99 -> cart TCP 8080", &json!({"start": WHILE_IT_LIVED, "end": WHILE_IT_LIVED}))
            .judge()
            .exit_status
    };
    for old_comes_first in [false, true] {
        assert_eq!(old_and_new("other", "web", old_comes_first), 0, "{old_comes_first}");
        assert_eq!(old_and_new("web", "other", old_comes_first), 1, "{old_comes_first}");
    }
}

#[test]
fn a_pod_that_came_again_under_its_name_is_its_own_successor() {
    let pod = |workload: &str, name: &str, app: &str, ip: &str, started: &str, annotations: &str| {
        format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: {name}, namespace: shop, uid: uid-{app}, labels: {{app: {app}}}, annotations: {{{annotations}}},
  ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: {workload}, uid: {workload}, controller: true}}]}}
spec: {{nodeName: n1, containers: [{{name: c, image: c}}]}}
status: {{phase: Running, podIP: {ip}, podIPs: [{{ip: {ip}}}], startTime: '2026-11-{started}:00Z'}}"
        )
    };
    let at_ten = "foretell.dev/gone-at: '2026-11-21T10:00:00Z'";
    let old = pod("set", "set-0", "older", "10.1.1.99", "20T09:00", at_ten);
    // The namesake is of the same workload or of another; another pod of the workload is newer.
    for (namesake, its_label, newest, status) in [
        ("set", "web", "newest", 0),
        ("set", "other", "web", 1),
        ("another", "other", "web", 0),
        ("another", "web", "newest", 1),
    ] {
        let report = shop()
            .live(&old)
            .live(&pod(namesake, "set-0", its_label, "10.1.1.91", "21T10:10", ""))
            .live(&pod("set", "set-1", newest, "10.1.1.92", "21T10:20", ""))
            .head("it.yaml", &policy("shop", "it", PROM_AND_WEB))
            .flow_with("10.1.1.99 -> cart TCP 8080", &json!({"start": WHILE_IT_LIVED, "end": WHILE_IT_LIVED}))
            .judge();
        assert_eq!(report.exit_status, status, "{namesake} {its_label} {newest}: {:?}", denials(&report));
    }
}

#[test]
fn a_peer_whose_workload_has_gone_is_judged_as_it_was_then() {
    for (label, status) in [("web", 0), ("other", 1)] {
        let stage = gone(shop(), "ghost", "10.1.1.99", &json!({"app": label}))
            .head("it.yaml", &policy("shop", "it", PROM_AND_WEB))
            .flow_with("10.1.1.99 -> cart TCP 8080", &json!({"start": WHILE_IT_LIVED, "end": WHILE_IT_LIVED}));
        assert_eq!(stage.judge().exit_status, status, "{label}");
    }
}

#[test]
fn a_subject_whose_workload_has_gone_can_no_longer_be_denied() {
    let stage = gone(shop(), "ghost", "10.1.1.99", &json!({"app": "ghost"}))
        .head("it.yaml", &policy("shop", "it", "{podSelector: {}, policyTypes: [Ingress]}"))
        .flow_with("prom -> 10.1.1.99 TCP 8080", &json!({"start": WHILE_IT_LIVED, "end": WHILE_IT_LIVED}));
    let report = stage.judge();
    assert_eq!(denials(&report), ["Gone Ingress prom -> ghost TCP 8080 by shop/it"]);
    assert_eq!(report.exit_status, 0);
    // A workload that Git holds, or whose controller the snapshot holds, may run again.
    let held = workload("Deployment", "shop", "ghost", "{app: ghost}", "[]");
    let report = stage.both("ghost.yaml", &held).judge();
    assert_eq!(report.denials[0].state, State::Unresolved);
    assert_eq!(report.exit_status, 1);
}
