//! Whatever is compared between two revisions is applied to the worlds, or is "could not decide" by name, or cannot matter.

use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::report::data::Report;
use serde_json::{Value, json};

use crate::manifests::{policy, workload};
use crate::stage::{Stage, denials, shop};

/// Selects `cart`, and lets everybody in who carries `app: NAME`, wherever it is.
fn only(name: &str) -> String {
    format!(
        "{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{{from: [{{namespaceSelector: {{}}, podSelector: {{matchLabels: {{app: {name}}}}}}}]}}]}}"
    )
}

/// What is undecided, in one line.
fn undecided(report: &Report) -> String {
    report.undecided.iter().map(|part| format!("{part:?}")).collect::<Vec<String>>().concat()
}

const WORKLOADS: [(&str, &str, &str); 6] = [
    ("Deployment", "shop", "web"),
    ("StatefulSet", "data", "db"),
    ("DaemonSet", "ops", "agent"),
    ("Job", "data", "migrate"),
    ("CronJob", "ops", "batch"),
    ("Pod", "ops", "lonely"),
];

fn on_host(manifest: &str) -> String {
    manifest.replace("{containers:", "{hostNetwork: true, containers:")
}

#[test]
fn every_compared_field_has_its_place_in_the_table() {
    // A new field of `relevant_fields` belongs in the tables of `judge::judgement::unapplied` and in a test here.
    for (manifest, fields) in [
        ("{apiVersion: v1, kind: Namespace, metadata: {name: a}}", "labels"),
        ("{apiVersion: v1, kind: Node, metadata: {name: a}}", "addresses labels podCIDRs"),
        ("{apiVersion: v1, kind: Pod, metadata: {name: a}}", "hostNetwork labels nodeName ports"),
        ("{apiVersion: apps/v1, kind: Deployment, metadata: {name: a}}", "hostNetwork labels ports"),
        ("{apiVersion: v1, kind: ReplicationController, metadata: {name: a}}", "hostNetwork labels ports"),
        (
            "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {}}",
            "clusterIPs externalIPs externalName externalTrafficPolicy internalTrafficPolicy ports publishNotReadyAddresses selector",
        ),
        (
            "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: a}, addressType: IPv4}",
            "addressType endpoints ports service",
        ),
        ("{apiVersion: v1, kind: Endpoints, metadata: {name: a}}", "listed mirrored"),
    ] {
        let value: Value = serde_saphyr::from_str(manifest).unwrap();
        let object = read(value, &Origin::Cluster).unwrap().unwrap();
        let mut found: Vec<String> = object.relevant_fields().as_object().unwrap().keys().cloned().collect();
        found.sort();
        assert_eq!(found.join(" "), fields, "{manifest}");
    }
}

#[test]
fn a_client_that_moves_to_the_network_of_its_node_is_denied_or_undecided() {
    for (kind, namespace, name) in WORKLOADS {
        let before = workload(kind, namespace, name, &format!("{{app: {name}}}"), "[]");
        let stage = shop().live(&policy("shop", "it", &only(name))).flow(&format!("{name} -> cart TCP 8080"));
        let report = stage.base("a.yaml", &before).head("a.yaml", &on_host(&before)).judge();
        if name == "batch" {
            // It runs on the node of `cart`, and may run on another.
            assert!(
                undecided(&report).contains("from another node they would deny CronJob/batch in ops"),
                "{report:#?}"
            );
            assert_eq!(report.exit_status, 2);
        } else {
            assert_eq!(denials(&report), [format!("Unresolved Ingress {name} -> cart TCP 8080 by shop/it")], "{kind}");
            assert!(report.denials[0].caused_by[0].contains("hostNetwork: false becomes true"));
        }
    }
}

#[test]
fn a_server_that_moves_to_the_network_of_its_node_is_the_address_of_the_node() {
    let cart = workload("Deployment", "shop", "cart", "{app: cart}", "[]");
    let to = |peer: &str| format!("{{podSelector: {{matchLabels: {{app: web}}}}, egress: [{{to: [{peer}]}}]}}");
    let judged = |peer: &str, flow: &str| {
        let stage = shop().live(&policy("shop", "out", &to(peer))).flow(flow);
        stage.base("a.yaml", &cart).head("a.yaml", &on_host(&cart)).judge()
    };
    for flow in ["web -> cart TCP 8080", "web -> cart-svc TCP 80"] {
        let report = judged("{podSelector: {matchLabels: {app: cart}}}", flow);
        assert_eq!(denials(&report), ["Unresolved Egress web -> cart TCP 8080 by shop/out"], "{flow}");
        let every_node = judged("{podSelector: {}}, {ipBlock: {cidr: 192.168.0.0/24}}", flow);
        assert_eq!((every_node.exit_status, undecided(&every_node)), (0, String::new()), "{flow}");
        let one_node = judged("{podSelector: {}}, {ipBlock: {cidr: 192.168.0.2/32}}", flow);
        assert_eq!(one_node.exit_status, 0, "the other node is that of the client, which may always be reached");
    }
}

#[test]
fn no_policy_selects_a_pod_that_moves_to_the_network_of_its_node() {
    let cart = workload("Deployment", "shop", "cart", "{app: cart}", "[]");
    let stage = shop().live(&policy("shop", "it", &only("nobody"))).flow("web -> cart TCP 8080");
    let report = stage.base("a.yaml", &cart).head("a.yaml", &on_host(&cart)).judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.newly_allowed.len(), 1);
}

#[test]
fn a_pod_that_leaves_the_network_of_its_node_is_undecided_where_a_policy_may_decide() {
    let host_pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: exporter-x, namespace: ops, uid: u1, labels: {app: exporter}, ownerReferences: [{apiVersion: apps/v1, kind: DaemonSet, name: exporter, uid: d1, controller: true}]}\nspec: {nodeName: n1, hostNetwork: true, containers: [{name: c, image: c}]}\nstatus: {phase: Running, podIP: 192.168.0.1, podIPs: [{ip: 192.168.0.1}]}\n";
    let after = workload("DaemonSet", "ops", "exporter", "{app: exporter}", "[]");
    let judged = |policies: &str, flow: &str| {
        let stage = shop().live(host_pod).live(policies).flow(flow);
        stage.base("a.yaml", &on_host(&after)).head("a.yaml", &after).judge()
    };
    let selects = policy("ops", "it", "{podSelector: {matchLabels: {app: exporter}}, policyTypes: [Ingress]}");
    assert!(undecided(&judged(&selects, "web -> cart TCP 8080")).contains("NetworkPolicy ops/it selects its pods"));
    // The node may always reach its own pods, and `web` runs there.
    let closed = policy("shop", "it", "{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}");
    let report = judged(&closed, "192.168.0.1 -> web TCP 9000");
    assert!(undecided(&report).contains("a policy would deny node n1 (192.168.0.1)"), "{report:#?}");
    assert_eq!(judged(&closed, "web -> cart TCP 8080").exit_status, 0);
}

/// A document of another kind whose pods have these labels, and what owns its pods.
fn others(labels: &str) -> Vec<(&'static str, String)> {
    let template = format!("{{metadata: {{labels: {labels}}}, spec: {{containers: [{{name: c, image: c}}]}}}}");
    let object = |api: &str, kind: &str, spec: &str| {
        format!("apiVersion: {api}\nkind: {kind}\nmetadata: {{name: front, namespace: shop}}\nspec: {spec}\n")
    };
    vec![
        ("Rollout", object("argoproj.io/v1alpha1", "Rollout", &format!("{{template: {template}}}"))),
        ("DeploymentConfig", object("apps.openshift.io/v1", "DeploymentConfig", &format!("{{template: {template}}}"))),
        ("CloneSet", object("apps.kruise.io/v1alpha1", "CloneSet", &format!("{{template: {template}}}"))),
        ("StatefulSet", object("apps.kruise.io/v1beta1", "StatefulSet", &format!("{{template: {template}}}"))),
        ("Service", object("serving.knative.dev/v1", "Service", &format!("{{template: {template}}}"))),
        ("ReplicationController", object("v1", "ReplicationController", &format!("{{template: {template}}}"))),
        (
            "JobSet",
            object(
                "jobset.x-k8s.io/v1alpha2",
                "JobSet",
                &format!("{{replicatedJobs: [{{name: a, template: {{spec: {{template: {template}}}}}}}]}}"),
            ),
        ),
    ]
}

/// Pods of these owners, each as its cluster has them.
fn with_owner(stage: Stage, kind: &str) -> Stage {
    let labels = |more: Value| {
        let mut labels = json!({"app": "front"});
        labels.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        labels
    };
    let (owner, name, labels) = match kind {
        "Rollout" => ("ReplicaSet", "front-6c8", labels(json!({"rollouts-pod-template-hash": "6c8"}))),
        "DeploymentConfig" => ("ReplicationController", "front-3", labels(json!({"deploymentconfig": "front"}))),
        "Service" => (
            "ReplicaSet",
            "front-00001-deployment-7d9",
            labels(json!({"pod-template-hash": "7d9", "serving.knative.dev/service": "front"})),
        ),
        kind => (kind, "front", labels(json!({}))),
    };
    stage.pod("front", (owner, "shop", name), "n1", "10.1.1.50", &labels)
}

#[test]
fn a_relabelled_workload_of_another_kind_is_blocked_if_its_pods_are_known() {
    for ((kind, before), (_, after)) in others("{app: front}").into_iter().zip(others("{app: front-next}")) {
        let stage = || {
            let stage = shop().live(&policy("shop", "it", &only("front"))).flow("10.1.1.50 -> cart TCP 8080");
            stage.base("a.yaml", &before).head("a.yaml", &after)
        };
        let report = with_owner(stage(), kind).judge();
        assert_eq!(report.exit_status, 1, "{kind}: {report:#?}");
        let cause = report.denials[0].caused_by.join(" ");
        assert!(cause.contains("front") && cause.contains("front-next"), "{kind}: {cause}");
    }
}

#[test]
fn a_relabelled_workload_of_another_kind_is_undecided_if_its_pods_are_unknown() {
    for ((kind, before), (_, after)) in others("{app: front}").into_iter().zip(others("{app: front-next}")) {
        let stage = |after: &str| {
            shop().live(&policy("shop", "it", &only("front"))).base("a.yaml", &before).head("a.yaml", after)
        };
        let report = stage(&after).judge();
        if kind == "ReplicationController" {
            assert!(
                report.notes[0].contains("ReplicationController shop/front has no pod in the snapshot"),
                "{report:#?}"
            );
            continue;
        }
        assert_eq!(report.exit_status, 2, "{kind}");
        assert!(
            undecided(&report).contains(&format!("the change touches {kind} shop/front")),
            "{}",
            undecided(&report)
        );
        for harmless in
            [before.replace("image: c", "image: c:2"), before.replace("{app: front}", "{app: front, version: v2}")]
        {
            let report = stage(&harmless).judge();
            assert_eq!(report.exit_status, 0, "{kind}: {}", undecided(&report));
        }
        let shop_without_policies = shop().base("a.yaml", &before).head("a.yaml", &after).judge();
        assert_eq!(shop_without_policies.exit_status, 0, "{kind}");
    }
}

#[test]
fn a_pod_template_beside_a_policy_in_one_object_is_not_overlooked() {
    let template = |app: &str, image: &str| {
        format!(
            "apiVersion: template.openshift.io/v1\nkind: Template\nmetadata: {{name: it, namespace: shop}}\nobjects:\n- apiVersion: networking.k8s.io/v1\n  kind: NetworkPolicy\n  metadata: {{name: x}}\n  spec: {{podSelector: {{}}}}\n- apiVersion: apps/v1\n  kind: Deployment\n  metadata: {{name: front}}\n  spec: {{template: {{metadata: {{labels: {{app: {app}}}}}, spec: {{containers: [{{name: c, image: {image}}}]}}}}}}\n"
        )
    };
    let stage = |after: &str| {
        shop()
            .live(&policy("shop", "it", &only("front")))
            .base("a.yaml", &template("front", "one"))
            .head("a.yaml", after)
            .judge()
    };
    let report = stage(&template("front-next", "one"));
    assert_eq!(report.exit_status, 2, "{report:#?}");
    assert!(!undecided(&report).contains("policies inside"), "the policy is not touched: {}", undecided(&report));
    assert_eq!(stage(&template("front", "two")).exit_status, 0, "another image");
}

#[test]
fn labels_that_a_kind_wraps_are_undecided_if_a_policy_selects_by_them() {
    let object = |spec: &str| {
        format!("apiVersion: example.com/v1\nkind: Thing\nmetadata: {{name: front, namespace: shop}}\nspec: {spec}\n")
    };
    let judged = |from: &str, to: &str| {
        let stage = shop().live(&policy("shop", "it", &only("front")));
        stage.base("a.yaml", &object(from)).head("a.yaml", &object(to)).judge()
    };
    for (from, to) in [
        ("{podMetadata: {labels: {app: front}}}", "{podMetadata: {labels: {app: back}}}"),
        (
            "{kafka: {template: {pod: {metadata: {labels: {app: front}}}}}}",
            "{kafka: {template: {pod: {metadata: {labels: {app: back}}}}}}",
        ),
        (
            "{template: {metadata: {labels: {app: front}}, spec: {}}}",
            "{template: {metadata: {labels: {app: back}}, spec: {}}}",
        ),
        ("{podLabels: {app: front}}", "{podLabels: {app: front}, hostNetwork: true}"),
    ] {
        let report = judged(from, to);
        assert_eq!(report.exit_status, 2, "{to}");
        assert!(undecided(&report).contains("Thing shop/front"), "{to}");
    }
    for (from, to) in [
        ("{podMetadata: {labels: {app: front, version: a}}}", "{podMetadata: {labels: {app: front, version: b}}}"),
        (
            "{volumeClaimTemplates: [{metadata: {labels: {app: a}}}]}",
            "{volumeClaimTemplates: [{metadata: {labels: {app: b}}}]}",
        ),
        ("{inheritedMetadata: {labels: {app: a}}}", "{inheritedMetadata: {labels: {app: b}}}"),
        ("{podLabels: {app: a}}", "{podLabels: {app: a}, hostNetwork: false}"),
    ] {
        assert_eq!(judged(from, to).exit_status, 0, "{to}");
    }
}

#[test]
fn a_rollout_takes_the_template_of_the_workload_that_it_refers_to() {
    let rollout = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: front, namespace: shop}\nspec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: base}}\n";
    let deployment = |label: &str| workload("Deployment", "shop", "base", label, "[]");
    let stage = shop().live(&policy("shop", "it", &only("front"))).flow("10.1.1.50 -> cart TCP 8080");
    let stage = stage
        .both("r.yaml", rollout)
        .base("d.yaml", &deployment("{app: front}"))
        .head("d.yaml", &deployment("{app: x}"));
    let report = with_owner(stage, "Rollout").judge();
    assert_eq!(denials(&report), ["Unresolved Ingress front -> cart TCP 8080 by shop/it"], "{report:#?}");
}

#[test]
fn endpoints_of_a_service_without_a_selector_are_applied() {
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: ext, namespace: shop}\nspec: {clusterIP: 10.96.0.20, ports: [{port: 443}]}\n";
    let slice = |ip: &str| {
        format!(
            "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: ext-1, namespace: shop, labels: {{kubernetes.io/service-name: ext}}}}\naddressType: IPv4\nendpoints: [{{addresses: [{ip}]}}]\nports: [{{port: 443, protocol: TCP}}]\n"
        )
    };
    let endpoints = |ip: &str| {
        format!(
            "apiVersion: v1\nkind: Endpoints\nmetadata: {{name: ext, namespace: shop}}\nsubsets: [{{addresses: [{{ip: {ip}}}], ports: [{{port: 443}}]}}]\n"
        )
    };
    let out = "{podSelector: {matchLabels: {app: web}}, egress: [{to: [{ipBlock: {cidr: 203.0.113.7/32}}]}]}";
    for manifest in [&slice as &dyn Fn(&str) -> String, &endpoints] {
        let judged = |to: &str| {
            let stage = shop().live(service).live(&slice("203.0.113.7")).live(&policy("shop", "out", out));
            stage
                .base("a.yaml", &manifest("203.0.113.7"))
                .head("a.yaml", &manifest(to))
                .flow("web -> 10.96.0.20 TCP 443")
                .judge()
        };
        let report = judged("203.0.113.8");
        assert_eq!(denials(&report), ["Unresolved Egress web -> 203.0.113.8 TCP 443 by shop/out"], "{report:#?}");
        assert_eq!(judged("203.0.113.7").exit_status, 0);
    }
}

#[test]
fn other_fields_of_a_service_are_undecided_where_they_are_used_and_a_policy_restricts_an_end() {
    let service = |more: &str| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: cart-svc, namespace: shop}}\nspec: {{selector: {{app: cart}}, ports: [{{port: 80, targetPort: 8080}}]{more}}}\n"
        )
    };
    let judged = |policies: &str, flow: &str, from: &str, to: &str| {
        let stage = shop().live(policies).flow(flow);
        stage.base("a.yaml", &service(from)).head("a.yaml", &service(to)).judge()
    };
    let both = "{podSelector: {}, ingress: [{}], egress: [{}]}";
    for (from, to, flow, word) in [
        (
            ", type: NodePort",
            ", type: NodePort, externalTrafficPolicy: Local",
            "web -> cart TCP 8080",
            "externalTrafficPolicy",
        ),
        (", internalTrafficPolicy: Local", "", "web -> cart-svc TCP 80", "internalTrafficPolicy"),
        ("", ", publishNotReadyAddresses: true", "web -> cart-svc TCP 80", "publishNotReadyAddresses"),
        ("", ", externalIPs: [203.0.113.50]", "web -> 203.0.113.50 TCP 80", "externalIPs"),
        ("", ", clusterIP: None", "web -> cart-svc TCP 80", "headless"),
        (
            ", type: ExternalName, externalName: a.example",
            ", type: ExternalName, externalName: b.example",
            "web -> cart TCP 8080",
            "externalName",
        ),
    ] {
        let report = judged(&policy("shop", "it", both), flow, from, to);
        assert_eq!(report.exit_status, 2, "{to}: {report:#?}");
        assert!(undecided(&report).contains(word), "{to}");
        let elsewhere = policy("data", "it", "{podSelector: {}, policyTypes: [Ingress]}");
        assert_eq!(judged(&elsewhere, flow, from, to).exit_status, 0, "{to}: no policy restricts an end");
        if word != "externalName" {
            assert_eq!(
                judged(&policy("shop", "it", both), "prom -> agent TCP 1", from, to).exit_status,
                0,
                "{to}: not in use"
            );
        }
    }
    for (from, to) in [
        ("", ", internalTrafficPolicy: Local"),
        (", publishNotReadyAddresses: true", ""),
        ("", ", clusterIP: 10.96.0.99"),
    ] {
        assert_eq!(judged(&policy("shop", "it", both), "web -> cart-svc TCP 80", from, to).exit_status, 0, "{to}");
    }
}

#[test]
fn a_removed_workload_is_noted_and_a_renamed_one_hides_no_denial() {
    let web = |name: &str, labels: &str| workload("Deployment", "shop", name, labels, "[]");
    let judged = |head: Option<String>| {
        let stage = shop().live(&policy("shop", "it", &only("web"))).flow("web -> cart TCP 8080");
        let stage = stage.base("a.yaml", &web("web", "{app: web}"));
        head.map_or(stage.clone(), |head| stage.head("a.yaml", &head)).judge()
    };
    let removed = judged(None);
    assert_eq!(removed.exit_status, 0);
    assert!(removed.notes[0].contains("which workload takes its place is unknown"), "{:?}", removed.notes);
    let renamed = judged(Some(web("web-v2", "{app: web}")));
    assert_eq!(renamed.exit_status, 0, "{}", undecided(&renamed));
    assert!(renamed.notes[0].contains("Deployment shop/web-v2 may take its place"), "{:?}", renamed.notes);
    let relabelled = judged(Some(web("web-v2", "{app: web-v2}")));
    assert_eq!(relabelled.exit_status, 2);
    assert!(undecided(&relabelled).contains("would deny Deployment/web in shop → Deployment/cart in shop TCP 8080"));
    let image = judged(Some(web("web", "{app: web}").replace("image: c", "image: c:2")));
    assert_eq!((image.exit_status, image.notes.len()), (0, 0));
}
