//! What is refused, and in which words.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use axum::http::StatusCode;
use serde_json::{Value, json};

use asked::{ask, of_kind, send, with};

mod asked;

fn audit(spec: &Value, fields: &Value) -> Value {
    let object = audit_object(spec);
    let question = of_kind("kguardian.dev", "v1alpha1", "AuditNetworkPolicy", "auditnetworkpolicies");
    with(question, &with(json!({"name": "web", "namespace": "shop", "object": object}), fields))
}

fn audit_object(spec: &Value) -> Value {
    json!({
        "apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "web", "namespace": "shop", "managedFields": [{"manager": "kubectl"}]},
        "spec": spec,
    })
}

fn block(cidr: &str) -> Value {
    json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]})
}

#[tokio::test]
async fn a_fault_is_told_as_an_api_server_tells_it() {
    let response = ask("/validate", &audit(&block("10.0.0.0/33"), &json!({}))).await;
    assert_eq!(response["allowed"], false);
    let said = r#"Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#;
    let field = "spec.ingress[0].from[0].ipBlock.cidr";
    let status = &response["status"];
    assert_eq!(status["message"], format!(r#"AuditNetworkPolicy.kguardian.dev "web" is invalid: {field}: {said}"#));
    assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
    assert_eq!(
        status["details"],
        json!({
            "name": "web", "group": "kguardian.dev", "kind": "AuditNetworkPolicy",
            "causes": [{"reason": "FieldValueInvalid", "message": said, "field": field}],
        })
    );
}

#[tokio::test]
async fn all_faults_are_told_at_once() {
    let spec = json!({"podSelector": {}, "policyTypes": ["Both"], "egress": [{"ports": [{"port": 0}]}]});
    let response = ask("/validate", &audit(&spec, &json!({}))).await;
    let said = response["status"]["message"].as_str().unwrap();
    let expected = "[spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, \
        spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"]";
    assert!(said.ends_with(expected), "{said}");
}

#[tokio::test]
async fn every_kind_of_ours_is_judged() {
    let peers = json!([{"ipBlock": {"cidr": "10.0.0.0"}}]);
    let exception = json!({
        "policyRef": {"kind": "NetworkPolicy", "name": "web"},
        "direction": "Ingress", "peers": peers, "reason": "r",
    });
    let cluster = json!({"namespaceSelector": {}, "egress": [{"to": peers}]});
    for (group, kind, resource, spec, field) in [
        ("foretell.dev", "AuditException", "auditexceptions", exception, "spec.peers[0].ipBlock.cidr"),
        (
            "kguardian.dev",
            "AuditClusterNetworkPolicy",
            "auditclusternetworkpolicies",
            cluster,
            "spec.egress[0].to[0].ipBlock.cidr",
        ),
    ] {
        let object = json!({
            "apiVersion": format!("{group}/v1alpha1"), "kind": kind, "metadata": {"name": "it"}, "spec": spec,
        });
        let question = with(of_kind(group, "v1alpha1", kind, resource), &json!({"name": "it", "object": object}));
        let response = ask("/validate", &question).await;
        assert_eq!(response["status"]["details"]["causes"][0]["field"], field, "{response}");
    }
}

#[tokio::test]
async fn valid_policies_and_names_that_are_yet_to_be_made_are_allowed() {
    let spec = json!({"podSelector": {}, "ingress": []});
    assert_eq!(ask("/validate", &audit(&spec, &json!({}))).await["allowed"], true);
    let mut object = audit_object(&spec);
    object["metadata"] = json!({"generateName": "web-", "namespace": "shop"});
    assert_eq!(ask("/validate", &audit(&spec, &json!({"name": "", "object": object}))).await["allowed"], true);
}

#[tokio::test]
async fn a_new_cidr_has_to_have_the_new_form_and_a_stored_one_may_stand() {
    let old = block("10.1.2.3/8");
    let response = ask("/validate", &audit(&old, &json!({}))).await;
    let said = response["status"]["message"].as_str().unwrap();
    assert!(said.ends_with("\"10.1.2.3/8\": must not have bits set beyond the prefix length"), "{said}");

    let mut changed = old.clone();
    changed["policyTypes"] = json!(["Ingress"]);
    let update = json!({"operation": "UPDATE", "oldObject": audit_object(&old)});
    assert_eq!(ask("/validate", &audit(&changed, &update)).await["allowed"], true);
    let other = block("10.1.2.4/8");
    assert_eq!(ask("/validate", &audit(&other, &update)).await["allowed"], false);
}

#[tokio::test]
async fn what_stands_or_goes_is_not_held_up() {
    let bad = block("10.0.0.0/33");
    let same = json!({"operation": "UPDATE", "oldObject": audit_object(&bad)});
    assert_eq!(ask("/validate", &audit(&bad, &same)).await["allowed"], true, "its metadata may change");

    let mut leaving = audit_object(&bad);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T01:40:00Z");
    let leaving = json!({"operation": "UPDATE", "object": leaving, "oldObject": audit_object(&block("10.0.0.0/8"))});
    assert_eq!(ask("/validate", &audit(&bad, &leaving)).await["allowed"], true, "its finalizers may go");

    let delete = json!({"operation": "DELETE", "object": null, "oldObject": audit_object(&bad)});
    assert_eq!(ask("/validate", &audit(&bad, &delete)).await["allowed"], true);

    let value =
        |text: &str| json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": [text]}]}});
    let mut changed = value("not a label");
    changed["ingress"] = json!([]);
    let update = json!({"operation": "UPDATE", "oldObject": audit_object(&value("not a label"))});
    assert_eq!(ask("/validate", &audit(&changed, &update)).await["allowed"], true, "upstream lets it stand");
    assert_eq!(ask("/validate", &audit(&changed, &json!({}))).await["allowed"], false);
}

fn workload(replicas: &Value, labels: &Value) -> Value {
    let object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "any", "namespace": "anywhere", "labels": labels},
        "spec": {"replicas": replicas},
    });
    with(
        of_kind("apps", "v1", "Deployment", "deployments"),
        &json!({
            "name": "any", "namespace": "anywhere", "object": object,
        }),
    )
}

fn scale(namespace: &str, name: &str, replicas: i32) -> Value {
    let object = json!({
        "apiVersion": "autoscaling/v1", "kind": "Scale",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"replicas": replicas},
    });
    json!({
        "kind": {"group": "autoscaling", "version": "v1", "kind": "Scale"},
        "resource": {"group": "apps", "version": "v1", "resource": "statefulsets"},
        "subResource": "scale", "operation": "UPDATE", "name": name, "namespace": namespace, "object": object,
    })
}

#[tokio::test]
async fn there_is_one_evaluator() {
    let labels = json!({"app.kubernetes.io/name": "foretell-evaluator"});
    for (question, allowed) in [
        (workload(&json!(2), &labels), false),
        (workload(&json!(1), &labels), true),
        (workload(&json!(0), &labels), true),
        (workload(&Value::Null, &labels), true),
        (workload(&json!(2), &json!({"app.kubernetes.io/name": "shop"})), true),
        (workload(&json!(2), &Value::Null), true),
        (scale("foretell", "foretell-evaluator", 2), false),
        (scale("foretell", "foretell-evaluator", 1), true),
        (scale("shop", "foretell-evaluator", 2), true),
        (scale("foretell", "shop", 2), true),
    ] {
        let response = ask("/validate", &question).await;
        assert_eq!(response["allowed"], allowed, "{question}\n{response}");
        if !allowed {
            let said = response["status"]["message"].as_str().unwrap();
            assert!(said.contains("spec.replicas: Invalid value: 2: one evaluator owns the window"), "{said}");
        }
    }
}

#[tokio::test]
async fn what_is_none_of_ours_is_allowed() {
    let question = with(of_kind("", "v1", "Pod", "pods"), &json!({"object": {"metadata": {"name": "p"}}}));
    assert_eq!(ask("/validate", &question).await["allowed"], true);
    assert_eq!(ask("/mutate", &question).await["allowed"], true);
}

#[tokio::test]
async fn what_cannot_be_read_is_a_clear_error() {
    let other = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}).to_string();
    let empty = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}).to_string();
    let partial = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}).to_string();
    for path in ["/validate", "/mutate"] {
        for (body, said) in [
            ("", "not JSON"),
            ("\u{0}", "not JSON"),
            ("[]", "no apiVersion and kind"),
            ("{}", "no apiVersion and kind"),
            (other.as_str(), "only an AdmissionReview of admission.k8s.io/v1"),
            (empty.as_str(), "holds no request"),
            (partial.as_str(), "cannot be read: missing field `uid`"),
        ] {
            let (status, answer) = send(path, body.to_owned()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["error"].as_str().unwrap().contains(said), "{body}: {answer}");
        }
        let (status, answer) = send(path, vec![b' '; (8 << 20) + 1]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answer["error"].as_str().unwrap().contains("more than"), "{answer}");
    }
}
