//! What of an object is a change, and what is none.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use serde_json::{Value, json};

fn relevant_fields(text: &str) -> Value {
    let value: Value = serde_saphyr::from_str(text).unwrap();
    let origin = Origin::Manifest { default_namespace: "shop".to_owned() };
    read(value, &origin).unwrap().unwrap().relevant_fields()
}

const DEPLOYMENT: &str = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {release: one}, annotations: {note: one}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {checksum: one}}
    spec:
      containers:
      - name: web
        image: web:1
        ports: [{name: http, containerPort: 8080}, {containerPort: 9000}]
      initContainers:
      - {name: proxy, restartPolicy: Always, ports: [{name: admin, containerPort: 15000, protocol: TCP}]}
      - {name: migrate, ports: [{name: once, containerPort: 1}]}
";

#[test]
fn of_a_workload_its_pods_labels_named_ports_and_network_are_read() {
    assert_eq!(
        relevant_fields(DEPLOYMENT),
        json!({"labels": {"app": "web"}, "ports": [["admin", "TCP", 15000], ["http", "TCP", 8080]], "hostNetwork": false})
    );
}

#[test]
fn an_image_replicas_annotations_and_unnamed_ports_are_no_change() {
    for (from, to) in [
        ("web:1", "web:2"),
        ("replicas: 1", "replicas: 9"),
        ("note: one", "note: two"),
        ("checksum: one", "checksum: two"),
        ("release: one", "release: two"),
        (", {containerPort: 9000}", ""),
        ("containerPort: 1}", "containerPort: 2}"),
        ("containerPort: 8080", "protocol: TCP, containerPort: 8080"),
    ] {
        let changed = DEPLOYMENT.replace(from, to);
        assert_ne!(changed, DEPLOYMENT);
        assert_eq!(relevant_fields(&changed), relevant_fields(DEPLOYMENT), "{from} to {to}");
    }
}

#[test]
fn labels_ports_and_the_hosts_network_are_a_change() {
    for (from, to) in [
        ("labels: {app: web}", "labels: {app: shop}"),
        ("name: http,", "name: https,"),
        ("containerPort: 8080", "containerPort: 8081"),
        ("containerPort: 8080", "containerPort: 8080, protocol: UDP"),
        ("      containers:", "      hostNetwork: true\n      containers:"),
        ("restartPolicy: Always, ", ""),
    ] {
        let changed = DEPLOYMENT.replace(from, to);
        assert_ne!(changed, DEPLOYMENT);
        assert_ne!(relevant_fields(&changed), relevant_fields(DEPLOYMENT), "{from} to {to}");
    }
}

#[test]
fn every_kind_of_workload_is_read_alike() {
    for (api_version, kind) in
        [("apps/v1", "StatefulSet"), ("apps/v1", "DaemonSet"), ("apps/v1", "ReplicaSet"), ("batch/v1", "Job")]
    {
        let text = DEPLOYMENT.replace("apps/v1", api_version).replace("Deployment", kind);
        assert_eq!(relevant_fields(&text), relevant_fields(DEPLOYMENT), "{kind}");
    }
    let mut value: Value = serde_saphyr::from_str(DEPLOYMENT).unwrap();
    value["apiVersion"] = json!("batch/v1");
    value["kind"] = json!("CronJob");
    value["spec"] = json!({"schedule": "@weekly", "jobTemplate": {"spec": {"template": value["spec"]["template"]}}});
    let cron_job = read(value.clone(), &Origin::Cluster).unwrap().unwrap();
    assert_eq!(cron_job.relevant_fields(), relevant_fields(DEPLOYMENT));
    value["kind"] = json!("Pod");
    value["apiVersion"] = json!("v1");
    let template = value["spec"]["jobTemplate"]["spec"]["template"].clone();
    value["metadata"]["labels"] = template["metadata"]["labels"].clone();
    value["spec"] = template["spec"].clone();
    value["spec"]["nodeName"] = json!("n1");
    let mut pod = relevant_fields(DEPLOYMENT);
    pod["nodeName"] = json!("n1");
    assert_eq!(read(value, &Origin::Cluster).unwrap().unwrap().relevant_fields(), pod);
}

#[test]
fn of_a_namespace_its_labels_are_read_with_its_own_name_among_them() {
    assert_eq!(
        relevant_fields(
            "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: a}, annotations: {x: one}}}"
        ),
        json!({"labels": {"team": "a", "kubernetes.io/metadata.name": "shop"}})
    );
}

#[test]
fn of_a_service_selector_ports_and_addresses_are_read() {
    assert_eq!(
        relevant_fields(
            "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: dns, port: 53, protocol: UDP, targetPort: dns, nodePort: 30053}], externalIPs: [1.2.3.4]}}"
        ),
        json!({
            "selector": {"app": "web"}, "externalName": null, "clusterIPs": [], "externalIPs": ["1.2.3.4"],
            "externalTrafficPolicy": "Cluster", "internalTrafficPolicy": "Cluster", "publishNotReadyAddresses": false,
            "ports": [
                {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": "dns", "nodePort": 30053},
                {"name": "http", "port": 80, "protocol": "TCP", "targetPort": 80},
            ],
        })
    );
    let plain = "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80}]}}";
    for same in [
        "{apiVersion: v1, kind: Service, metadata: {name: web, labels: {a: b}}, spec: {ports: [{port: 80, targetPort: 80, protocol: TCP, name: ''}], selector: {}, sessionAffinity: ClientIP}}",
        "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {ports: [{port: 80, targetPort: 0}], type: NodePort}}",
    ] {
        assert_eq!(relevant_fields(same), relevant_fields(plain));
    }
    let headless = plain.replace("{ports", "{clusterIP: None, ports");
    assert_ne!(relevant_fields(&headless), relevant_fields(plain));
    let external = plain.replace("{ports", "{type: ExternalName, externalName: example.com, ports");
    assert_ne!(relevant_fields(&external), relevant_fields(plain));
}

fn policy(kind: &str, spec: &str) -> Value {
    let api_version = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "kguardian.dev/v1alpha1" };
    relevant_fields(&format!("{{apiVersion: {api_version}, kind: {kind}, metadata: {{name: web}}, spec: {spec}}}"))
}

#[test]
fn policies_that_mean_the_same_are_no_change() {
    for (one, other) in [
        ("{}", "{podSelector: {}, policyTypes: [Ingress], ingress: []}"),
        ("{policyTypes: [Ingress], egress: [{}]}", "{}"),
        ("{policyTypes: [Egress], ingress: [{}]}", "{policyTypes: [Egress]}"),
        ("{egress: [{}]}", "{policyTypes: [Egress, Ingress], egress: [{to: []}]}"),
        ("{ingress: [{ports: [{port: 80}]}]}", "{ingress: [{ports: [{port: 80, protocol: TCP}]}]}"),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 010.1.2.3/8}}]}]}",
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8, except: []}}]}]}",
        ),
    ] {
        for kind in ["NetworkPolicy", "AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
            assert_eq!(policy(kind, one), policy(kind, other), "{kind}: {one} {other}");
        }
    }
    let everywhere = policy("AuditClusterNetworkPolicy", "{namespaceSelector: {}}");
    assert_eq!(policy("AuditClusterNetworkPolicy", "{}"), everywhere);
}

#[test]
fn policies_that_mean_something_else_are_a_change() {
    for (one, other) in [
        ("{}", "{policyTypes: [Ingress, Egress]}"),
        ("{}", "{ingress: [{}]}"),
        ("{podSelector: {matchLabels: {app: web}}}", "{}"),
        ("{ingress: [{from: [{podSelector: {}}]}]}", "{ingress: [{from: [{namespaceSelector: {}}]}]}"),
        (
            "{ingress: [{from: [{namespaceSelector: {}}]}]}",
            "{ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: web}}}]}]}",
        ),
        ("{ingress: [{ports: [{port: 80}]}]}", "{ingress: [{ports: [{port: 80, endPort: 90}]}]}"),
        ("{ingress: [{ports: [{port: 80}]}]}", "{ingress: [{ports: [{port: 80, protocol: UDP}]}]}"),
    ] {
        for kind in ["NetworkPolicy", "AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
            assert_ne!(policy(kind, one), policy(kind, other), "{kind}: {one} {other}");
        }
    }
    let some = policy("AuditClusterNetworkPolicy", "{namespaceSelector: {matchLabels: {team: a}}}");
    assert_ne!(policy("AuditClusterNetworkPolicy", "{}"), some);
}

#[test]
fn of_a_policys_metadata_only_where_it_was_promoted_from_counts() {
    let of = |metadata: &str| {
        relevant_fields(&format!(
            "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: web, {metadata}}}}}"
        ))
    };
    assert_eq!(of("labels: {a: b}, annotations: {note: x}"), of("labels: {}"));
    assert_ne!(of("annotations: {foretell.dev/promoted-from: AuditClusterNetworkPolicy/base}"), of("labels: {}"));
}

#[test]
fn of_an_exception_its_spec_counts() {
    let text = "{apiVersion: foretell.dev/v1alpha1, kind: AuditException, metadata: {name: web}, spec: {policyRef: {kind: NetworkPolicy, name: web}, direction: Ingress, peers: [{podSelector: {}}], ports: [{port: 80}], reason: known, expiresAt: '2026-12-31T00:00:00Z'}}";
    assert_eq!(relevant_fields(&text.replace("port: 80", "port: 80, protocol: TCP")), relevant_fields(text));
    assert_eq!(
        relevant_fields(&text.replace("2026-12-31T00:00:00Z", "2026-12-31T01:00:00+01:00")),
        relevant_fields(text)
    );
    for (from, to) in [("known", "other"), ("2026", "2027"), ("80", "81"), ("Ingress", "Egress")] {
        assert_ne!(relevant_fields(&text.replace(from, to)), relevant_fields(text));
    }
}

#[test]
fn of_endpoints_and_nodes_addresses_count() {
    let slice = "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, labels: {kubernetes.io/service-name: web, x: one}}, addressType: IPv4, endpoints: [{addresses: [10.1.0.5], targetRef: {kind: Pod, name: web-1, namespace: shop}}], ports: [{port: 8080}]}";
    for same in [
        slice.replace("x: one", "x: two"),
        slice.replace("addresses: [10.1.0.5]", "addresses: [10.1.0.5], conditions: {ready: true}, zone: a"),
        slice.replace("port: 8080", "port: 8080, name: '', protocol: TCP"),
    ] {
        assert_eq!(relevant_fields(&same), relevant_fields(slice));
    }
    for (from, to) in [
        ("10.1.0.5]", "10.1.0.5], conditions: {ready: false}"),
        ("8080", "8081"),
        ("service-name: web", "service-name: api"),
        ("name: web-1, namespace", "name: web-2, namespace"),
    ] {
        assert_ne!(relevant_fields(&slice.replace(from, to)), relevant_fields(slice), "{from} to {to}");
    }
    let node = "{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {a: b}}, spec: {podCIDR: 10.1.0.0/24, podCIDRs: [10.1.0.0/24]}, status: {addresses: [{type: InternalIP, address: 192.168.1.7}]}}";
    assert_eq!(
        relevant_fields(node),
        json!({"labels": {"a": "b"}, "podCIDRs": ["10.1.0.0/24"], "addresses": [["InternalIP", "192.168.1.7"]]})
    );
}
