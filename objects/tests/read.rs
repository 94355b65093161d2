//! Reading objects: which kinds and versions are read, and the errors for invalid ones.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use foretell_objects::manifest::document::Document;
use foretell_objects::manifest::documents::documents;
use foretell_objects::manifest::written::written;
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::read::read;
use serde_json::{Value, json};

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

fn manifest() -> Origin {
    Origin::Manifest { default_namespace: "shop".to_owned() }
}

fn read_manifest(text: &str) -> Object {
    read(yaml(text), &manifest()).unwrap().unwrap()
}

/// The faults of a refused manifest, one per line.
fn refusal(text: &str) -> String {
    let error = read(yaml(text), &manifest()).expect_err("it should be refused");
    let error = error.quoting(|pointer| written(text, 1, "", pointer));
    let faults: Vec<String> = error.faults.iter().map(ToString::to_string).collect();
    format!("{}\n{}", error.object, faults.join("\n"))
}

#[test]
fn values_that_are_no_objects_or_of_other_kinds_are_skipped() {
    for value in [
        Value::Null,
        json!(3),
        json!([1]),
        json!("NetworkPolicy"),
        json!({}),
        json!({"kind": "NetworkPolicy"}),
        json!({"apiVersion": "networking.k8s.io/v1"}),
        json!({"apiVersion": 1, "kind": "Pod"}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {}}),
        json!({"apiVersion": "serving.knative.dev/v1", "kind": "Service", "metadata": {"name": "web"}}),
        json!({"apiVersion": "projectcalico.org/v3", "kind": "NetworkPolicy", "metadata": {"name": "web"}}),
        json!({"apiVersion": "v1", "kind": "List", "items": []}),
    ] {
        for origin in [Origin::Cluster, manifest()] {
            assert_eq!(read(value.clone(), &origin), Ok(None), "{value}");
        }
    }
}

#[test]
fn every_kind_is_read_in_each_served_version() {
    for kind in Kind::ALL {
        let spec = match kind {
            Kind::AuditException => json!({
                "policyRef": {"kind": "NetworkPolicy", "name": "web"}, "direction": "Ingress",
                "peers": [{"podSelector": {}}], "reason": "known",
            }),
            Kind::AdminNetworkPolicy => json!({"priority": 1, "subject": {"namespaces": {}}}),
            Kind::BaselineAdminNetworkPolicy => json!({"subject": {"namespaces": {}}}),
            Kind::ClusterNetworkPolicy => json!({"tier": "Admin", "priority": 1, "subject": {"namespaces": {}}}),
            _ => json!({}),
        };
        let name = if kind == Kind::BaselineAdminNetworkPolicy { "default" } else { "it" };
        let value =
            json!({"apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": name}, "spec": spec});
        for origin in [Origin::Cluster, manifest()] {
            let value = match kind {
                Kind::EndpointSlice => {
                    json!({"apiVersion": kind.api_version(), "kind": kind.name(), "metadata": {"name": "it"}})
                }
                _ => value.clone(),
            };
            let object = read(value, &origin).unwrap().unwrap();
            let namespace = match (&origin, kind.is_namespaced()) {
                (_, false) => "",
                (Origin::Cluster, true) => "default",
                (Origin::Manifest { .. }, true) => "shop",
            };
            assert_eq!(object.id(), ObjectId { kind, namespace: namespace.to_owned(), name: name.to_owned() });
        }
    }
}

#[test]
fn a_version_that_is_not_served_is_refused_with_the_served_one() {
    for (api_version, kind, write) in [
        ("extensions/v1beta1", "NetworkPolicy", "networking.k8s.io/v1"),
        ("networking.k8s.io/v1beta1", "NetworkPolicy", "networking.k8s.io/v1"),
        ("extensions/v1beta1", "Deployment", "apps/v1"),
        ("apps/v1beta2", "DaemonSet", "apps/v1"),
        ("batch/v1beta1", "CronJob", "batch/v1"),
        ("discovery.k8s.io/v1beta1", "EndpointSlice", "discovery.k8s.io/v1"),
        ("kguardian.dev/v1beta1", "AuditNetworkPolicy", "kguardian.dev/v1alpha1"),
        ("foretell.dev/v1", "AuditException", "foretell.dev/v1alpha1"),
        ("foretell.dev/v1alpha1", "AuditNetworkPolicy", "kguardian.dev/v1alpha1"),
        ("networking.k8s.io/v1", "AuditNetworkPolicy", "kguardian.dev/v1alpha1"),
        ("v1", "NetworkPolicy", "networking.k8s.io/v1"),
    ] {
        for origin in [Origin::Cluster, manifest()] {
            let value =
                json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": "prod"}});
            assert_eq!(
                read(value, &origin).unwrap_err().to_string(),
                format!("{kind} prod/web: apiVersion: {kind} is not served as {api_version}: write {write}")
            );
        }
    }
}

#[test]
fn a_namespaced_object_without_a_namespace_is_in_the_default_one() {
    let object = read_manifest("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}}");
    assert_eq!(object.id().namespace, "shop");
    assert_eq!(object.metadata().namespace.as_deref(), Some("shop"));
    let object = read_manifest("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: ''}}");
    assert_eq!(object.id().namespace, "shop");
    let object = read_manifest("{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: prod}}");
    assert_eq!(object.id().namespace, "prod");
}

#[test]
fn a_cluster_scoped_object_drops_its_namespace() {
    for kind in
        ["{apiVersion: v1, kind: Namespace", "{apiVersion: kguardian.dev/v1alpha1, kind: AuditClusterNetworkPolicy"]
    {
        let object = read_manifest(&format!("{kind}, metadata: {{name: web, namespace: prod}}, spec: {{}}}}"));
        assert_eq!(object.id().namespace, "");
        assert_eq!(object.metadata().namespace, None);
    }
}

#[test]
fn an_object_without_a_name_is_refused() {
    let without = "NetworkPolicy shop/without a name\nmetadata.name: required: an object without a name cannot be compared between revisions";
    assert_eq!(refusal("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {}, spec: {}}"), without);
    assert_eq!(refusal("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: ''}}"), without);
    assert_eq!(
        refusal("{apiVersion: apps/v1, kind: Deployment}"),
        "Deployment shop/without a name\nmetadata.name: required: an object without a name cannot be compared between revisions"
    );
}

#[test]
fn a_policy_with_a_generated_name_is_refused_and_a_job_is_skipped() {
    assert_eq!(
        refusal("{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {generateName: web-}}"),
        "NetworkPolicy shop/web-*\nmetadata.name: required: with generateName each apply creates another object, \
         which no later change can refer to"
    );
    let job = yaml("{apiVersion: batch/v1, kind: Job, metadata: {generateName: migrate-}}");
    assert_eq!(read(job, &manifest()), Ok(None));
}

#[test]
fn all_wrong_types_are_reported_with_their_paths() {
    let text = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: web
  labels: {tier: 1, app.kubernetes.io/part-of: true}
spec:
  podSelector: {matchLabels: {app: [web]}}
  ingress:
  - ports:
    - port: 80.5
    - protocol: {}
  - from:
    - podSelector: all
";
    assert_eq!(
        refusal(text),
        "NetworkPolicy shop/web\n\
         metadata.labels[app.kubernetes.io/part-of]: true is not text: write it in quotes, \"true\"\n\
         metadata.labels.tier: 1 is not text: write it in quotes, \"1\"\n\
         spec.ingress[0].ports[0].port: 80.5 is not a whole number: write the port's digits, or its name in quotes\n\
         spec.ingress[0].ports[1].protocol: invalid type: map, expected a string\n\
         spec.ingress[1].from[0].podSelector: invalid type: string \"all\", expected LabelSelector\n\
         spec.podSelector.matchLabels.app: invalid type: sequence, expected a string"
    );
}

/// Scalars that YAML 1.1 or 1.2 may resolve to something other than a text.
const SCALARS: &[&str] = &[
    "yes",
    "Yes",
    "no",
    "on",
    "On",
    "off",
    "y",
    "n",
    "true",
    "True",
    "FALSE",
    "~",
    "null",
    "Null",
    "0",
    "00000",
    "007",
    "0644",
    "0o17",
    "0x1F",
    "0b11",
    "1_000",
    "-1",
    "+1",
    "1.10",
    "1.0",
    ".5",
    "5.",
    "12e4",
    "1e3",
    "1E+2",
    "6.02e23",
    ".inf",
    "-.INF",
    ".nan",
    "2001-01-01",
    "2001-12-14t21:59:43.10-05:00",
    "1:30",
    "190:20:30",
    "99999999999999999999",
    "=",
    "<<",
    "!!str 10",
];

/// Places where a text belongs. `@` is the scalar.
const PLACES: &[&str] = &[
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}, spec: {podSelector: {matchLabels: {app: a, it.org/x~y: @}}}}",
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web}, spec: {podSelector: {}, ingress: [{from: \
     [{ipBlock: {cidr: 10.0.0.0/8}}, {podSelector: {matchExpressions: [{key: a, operator: In, values: [b, @]}]}}]}]}}",
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, labels: {a: @}}, spec: {podSelector: {}}}",
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, annotations: {a: @}}, spec: {podSelector: {}}}",
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: @}, spec: {podSelector: {}}}",
    "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: @}, spec: {podSelector: {}}}",
    "{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: a, ports: [{name: @, containerPort: 80}]}]}}",
    "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: @}, ports: [{port: 80}]}}",
    "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {v: @}}}}}",
    "{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {v: @}}}",
];

#[test]
fn a_scalar_in_the_place_of_a_text_is_quoted_as_the_file_has_it() {
    let mut refused = 0;
    for place in PLACES {
        for scalar in SCALARS {
            let manifest_text = place.replace('@', scalar);
            for text in [
                manifest_text.clone(),
                format!("# first\n---\n{{kind: Other}}\n---\n{manifest_text}\n---\n{{kind: Other}}\n"),
                format!("kind: List\nitems:\n- {{}}\n- {{kind: List, items: [{manifest_text}]}}\n"),
                format!("base: &it {{scalar: {scalar}}}\n---\n{manifest_text}\n"),
            ] {
                for Document { number, item, value } in documents(&text) {
                    // `.inf` and `.nan` have no form in JSON.
                    let Ok(value) = value else { continue };
                    let Err(error) = read(value, &manifest()) else { continue };
                    let message = error.quoting(|pointer| written(&text, number, &item, pointer)).to_string();
                    if message.contains("is not text") {
                        let value = scalar.rsplit(' ').next().unwrap();
                        let expected = format!(": {value} is not text: write it in quotes, \"{value}\"");
                        assert!(message.contains(&expected), "{text}\n{message}");
                        refused += 1;
                    }
                }
            }
        }
    }
    assert!(refused > 700, "{refused}");
}

#[test]
fn a_scalar_of_json_is_quoted_as_the_file_has_it() {
    let policy = |value: &str| {
        format!(
            "{{\"apiVersion\": \"networking.k8s.io/v1\", \"kind\": \"NetworkPolicy\", \"metadata\": {{\"name\": \"web\"}},\n\t\
             \"spec\": {{\"podSelector\": {{\"matchLabels\": {{\"v\": {value}}}}}}}}}"
        )
    };
    let text = format!("{{\"kind\": \"Other\"}}\n{}", policy("1.10"));
    let [_, Document { number, item, value }] = &documents(&text)[..] else { panic!("two documents") };
    let error = read(value.clone().unwrap(), &manifest()).unwrap_err();
    let message = error.clone().quoting(|pointer| written(&text, *number, item, pointer)).to_string();
    assert!(message.ends_with("1.10 is not text: write it in quotes, \"1.10\""), "{message}");
    // An API server sends the value without the text of the manifest.
    assert!(error.to_string().ends_with("is not text: put quotes around what the manifest has here"), "{error}");
}

#[test]
fn an_unknown_field_of_a_policy_is_refused_with_a_similar_known_field() {
    let text = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, label: {}, namesspace: prod}
specs: {}
spec:
  podSelectors: {}
  policytypes: [Ingress]
  ingress:
  - form:
    - podSelector: {}
    from:
    - pod-selector: {}
      podSelector: {matchLabel: {app: web}}
    - matchLabels: {app: web}
      podSelector: {}
    ports:
    - ports: 80
";
    assert_eq!(
        refusal(text),
        "NetworkPolicy shop/web\n\
         metadata.label: unknown field: did you mean labels?\n\
         metadata.namesspace: unknown field: did you mean namespace?\n\
         spec.ingress[0].form: unknown field: did you mean from?\n\
         spec.ingress[0].from[0].pod-selector: unknown field: did you mean podSelector?\n\
         spec.ingress[0].from[0].podSelector.matchLabel: unknown field: did you mean matchLabels?\n\
         spec.ingress[0].from[1].matchLabels: unknown field: the fields here are ipBlock, namespaceSelector, podSelector\n\
         spec.ingress[0].ports[0].ports: unknown field: did you mean port?\n\
         spec.podSelectors: unknown field: did you mean podSelector?\n\
         spec.policytypes: unknown field: did you mean policyTypes?\n\
         specs: unknown field: did you mean spec?"
    );
}

#[test]
fn unknown_fields_of_audit_policies_and_exceptions_are_refused_too() {
    assert_eq!(
        refusal(
            "{apiVersion: kguardian.dev/v1alpha1, kind: AuditNetworkPolicy, metadata: {name: web}, spec: {namespaceSelector: {}}}"
        ),
        "AuditNetworkPolicy shop/web\n\
         spec.namespaceSelector: unknown field: the fields here are egress, ingress, podSelector, policyTypes"
    );
    assert_eq!(
        refusal(
            "{apiVersion: kguardian.dev/v1alpha1, kind: AuditClusterNetworkPolicy, metadata: {name: web}, spec: {namespaceselector: {}}}"
        ),
        "AuditClusterNetworkPolicy web\nspec.namespaceselector: unknown field: did you mean namespaceSelector?"
    );
    assert_eq!(
        refusal(
            r"
apiVersion: foretell.dev/v1alpha1
kind: AuditException
metadata: {name: web}
spec:
  policyRef: {kind: NetworkPolicy, name: web, namespace: prod}
  direction: Ingress
  peers: [{podSelector: {}}]
  reason: known
  expires: 2026-12-31T00:00:00Z
"
        ),
        "AuditException shop/web\n\
         spec.expires: unknown field: did you mean expiresAt?\n\
         spec.policyRef.namespace: unknown field: the fields here are kind, name"
    );
}

#[test]
fn missing_fields_of_an_exception_are_reported() {
    let head = "apiVersion: foretell.dev/v1alpha1\nkind: AuditException\nmetadata: {name: web}\n";
    for (spec, fault) in [
        (
            "policyRef: {kind: Deployment, name: web}, direction: Ingress, peers: [{podSelector: {}}], reason: known",
            "spec.policyRef.kind: unknown variant `Deployment`, expected one of `AdminNetworkPolicy`, \
             `AuditClusterNetworkPolicy`, `AuditNetworkPolicy`, `BaselineAdminNetworkPolicy`, `ClusterNetworkPolicy`, \
             `NetworkPolicy`",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: web}, direction: ingress, peers: [{podSelector: {}}], reason: known",
            "spec.direction: unknown variant `ingress`, expected `Egress` or `Ingress`",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: web}, direction: Ingress, reason: known",
            "spec.peers: required but missing",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: web}, direction: Ingress, peers: [], reason: ' '",
            "spec.peers: required: an exception needs at least one peer, as in a rule of a NetworkPolicy\n\
             spec.reason: required: say why these denials are accepted",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: ''}, direction: Ingress, peers: [{}], reason: known, ports: [{port: 0}]",
            "spec.policyRef.name: \"\": write lower-case letters, digits, '-' and '.', with a letter or digit at both ends \
             and around each '.'\n\
             spec.peers[0]: selects no peer: write podSelector, namespaceSelector or ipBlock; {} selects all pods\n\
             spec.ports[0].port: 0 is not a port: write a number from 1 to 65535",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: web}, direction: Ingress, peers: [{podSelector: {}}], reason: known, expiresAt: '2026-12-31'",
            "spec.expiresAt: not a time: write it in RFC 3339 form, \"2026-12-31T00:00:00Z\"",
        ),
        (
            "policyRef: {kind: NetworkPolicy, name: web}, direction: Ingress, peers: {podSelector: {}}, reason: 3",
            "spec.peers: invalid type: map, expected a sequence\nspec.reason: 3 is not text: write it in quotes, \"3\"",
        ),
    ] {
        assert_eq!(refusal(&format!("{head}spec: {{{spec}}}")), format!("AuditException shop/web\n{fault}"), "{spec}");
    }
}

#[test]
fn status_and_server_side_fields_are_never_faults() {
    for kind in ["NetworkPolicy", "AuditNetworkPolicy"] {
        let api_version = if kind == "NetworkPolicy" { "networking.k8s.io/v1" } else { "kguardian.dev/v1alpha1" };
        let value = json!({
            "apiVersion": api_version, "kind": kind,
            "metadata": {
                "name": "web", "creationTimestamp": "long ago", "deletionTimestamp": 5, "generation": "1",
                "managedFields": {"a": 1}, "resourceVersion": 7, "selfLink": [], "uid": {},
            },
            "spec": {},
            "status": {"conditions": "none", "evaluation": {"flowsWouldDeny": -1}, "unheard": [1]},
        });
        for origin in [Origin::Cluster, manifest()] {
            assert!(read(value.clone(), &origin).unwrap().is_some());
        }
        let mut value = value;
        value["status"] = json!(5);
        value["metadata"]["creationTimestamp"] = Value::Null;
        assert!(read(value, &manifest()).unwrap().is_some());
    }
}

#[test]
fn valid_fields_of_a_pod_status_are_kept_beside_invalid_ones() {
    let value = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "status": {"phase": "Running", "podIP": "10.1.0.5", "podIPs": [{"ip": "10.1.0.5"}], "conditions": [{"type": 3}]},
    });
    let Some(Object::Pod(pod)) = read(value, &Origin::Cluster).unwrap() else { panic!("no Pod") };
    let status = pod.status.unwrap();
    assert_eq!((status.phase.as_deref(), status.pod_ip.as_deref()), (Some("Running"), Some("10.1.0.5")));
    assert_eq!(status.conditions, None);
}

#[test]
fn fields_of_a_workload_that_the_engine_ignores_may_have_any_value() {
    let text = r"
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, annotations: {note: 5, other: [x]}, finalizers: none}
spec:
  replicas: three
  newField: {x: 1}
  template:
    metadata: {labels: {app: web}, annotations: {checksum: }}
    spec:
      priority: high
      containers:
      - name: 5
        image: {repository: web}
        env: [{name: A, value: 5}, {name: B, value: 6}]
        ports: [{name: http, containerPort: 8080}]
        restartPolicyRules: 3
";
    let object = read_manifest(text);
    assert_eq!(
        object.relevant_fields(),
        json!({"labels": {"app": "web"}, "ports": [["http", "TCP", 8080]], "hostNetwork": false})
    );
    assert_eq!(
        refusal(
            "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {template: {metadata: {labels: {v: 1.0}}, spec: {containers: [{ports: [{containerPort: '80'}]}]}}}}"
        ),
        "Deployment shop/web\n\
         spec.template.metadata.labels.v: 1.0 is not text: write it in quotes, \"1.0\"\n\
         spec.template.spec.containers[0].ports[0].containerPort: invalid type: string \"80\", expected i32"
    );
}

#[test]
fn unknown_fields_of_a_stored_policy_are_allowed() {
    let value = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy", "metadata": {"name": "web", "new": 1},
        "spec": {"newField": {}, "ingress": [{"newField": 1}]},
    });
    assert!(read(value, &Origin::Cluster).unwrap().is_some());
}

#[test]
fn nulls_are_read_as_an_api_server_reads_them() {
    let text = r"
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, labels: {tier: }, annotations: }
spec:
  podSelector: {matchLabels: {app: }}
  egress:
  ingress:
  -
";
    let Object::NetworkPolicy(policy) = read_manifest(text) else { panic!("no NetworkPolicy") };
    assert_eq!(policy.metadata.labels.unwrap()["tier"], "");
    let spec = policy.spec.unwrap();
    assert_eq!(spec.ingress.unwrap().len(), 1, "an empty rule allows everything: it must not be lost");
    assert_eq!(spec.pod_selector.unwrap().match_labels.unwrap()["app"], "");
    let audit =
        text.replace("networking.k8s.io/v1", "kguardian.dev/v1alpha1").replace("NetworkPolicy", "AuditNetworkPolicy");
    assert_eq!(
        refusal(&audit),
        "AuditNetworkPolicy shop/web\n\
         spec.ingress[0]: invalid type: null, expected NetworkPolicyIngressRule\n\
         spec.podSelector.matchLabels.app: invalid type: null, expected a string"
    );
}
