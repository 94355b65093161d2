//! Which objects are rejected, and with which messages.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use axum::http::StatusCode;
use serde_json::{Value, json};

use api_server::{of_kind, review, send, with};

mod api_server;

fn audit(spec: &Value, fields: &Value) -> Value {
    let object = audit_object(spec);
    let request = of_kind("kguardian.dev", "v1alpha1", "AuditNetworkPolicy", "auditnetworkpolicies");
    with(request, &with(json!({"name": "web", "namespace": "shop", "object": object}), fields))
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
async fn an_error_is_reported_in_the_api_servers_words() {
    let response = review("/validate", &audit(&block("10.0.0.0/33"), &json!({}))).await;
    assert_eq!(response["allowed"], false);
    let message = r#"Invalid value: "10.0.0.0/33": must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"#;
    let field = "spec.ingress[0].from[0].ipBlock.cidr";
    let status = &response["status"];
    assert_eq!(status["message"], format!(r#"AuditNetworkPolicy.kguardian.dev "web" is invalid: {field}: {message}"#));
    assert_eq!((&status["code"], &status["reason"]), (&json!(422), &json!("Invalid")));
    assert_eq!(
        status["details"],
        json!({
            "name": "web", "group": "kguardian.dev", "kind": "AuditNetworkPolicy",
            "causes": [{"reason": "FieldValueInvalid", "message": message, "field": field}],
        })
    );
}

#[tokio::test]
async fn all_errors_are_reported_at_once() {
    let spec = json!({"podSelector": {}, "policyTypes": ["Both"], "egress": [{"ports": [{"port": 0}]}]});
    let response = review("/validate", &audit(&spec, &json!({}))).await;
    let message = response["status"]["message"].as_str().unwrap();
    let expected = "[spec.egress[0].ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive, \
        spec.policyTypes[0]: Unsupported value: \"Both\": supported values: \"Ingress\", \"Egress\"]";
    assert!(message.ends_with(expected), "{message}");
}

#[tokio::test]
async fn every_kind_of_foretell_is_validated() {
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
        let request = with(of_kind(group, "v1alpha1", kind, resource), &json!({"name": "it", "object": object}));
        let response = review("/validate", &request).await;
        assert_eq!(response["status"]["details"]["causes"][0]["field"], field, "{response}");
    }
}

#[tokio::test]
async fn valid_policies_and_generated_names_are_allowed() {
    let spec = json!({"podSelector": {}, "ingress": []});
    assert_eq!(review("/validate", &audit(&spec, &json!({}))).await["allowed"], true);
    let mut object = audit_object(&spec);
    object["metadata"] = json!({"generateName": "web-", "namespace": "shop"});
    assert_eq!(review("/validate", &audit(&spec, &json!({"name": "", "object": object}))).await["allowed"], true);
}

#[tokio::test]
async fn a_new_cidr_must_have_the_strict_form_and_a_stored_one_need_not() {
    let old = block("10.1.2.3/8");
    let response = review("/validate", &audit(&old, &json!({}))).await;
    let message = response["status"]["message"].as_str().unwrap();
    assert!(message.ends_with("\"10.1.2.3/8\": must not have bits set beyond the prefix length"), "{message}");

    let mut changed = old.clone();
    changed["policyTypes"] = json!(["Ingress"]);
    let update = json!({"operation": "UPDATE", "oldObject": audit_object(&old)});
    assert_eq!(review("/validate", &audit(&changed, &update)).await["allowed"], true);
    let other = block("10.1.2.4/8");
    assert_eq!(review("/validate", &audit(&other, &update)).await["allowed"], false);
}

#[tokio::test]
async fn an_unchanged_or_deleted_invalid_object_is_allowed() {
    let bad = block("10.0.0.0/33");
    let same = json!({"operation": "UPDATE", "oldObject": audit_object(&bad)});
    assert_eq!(review("/validate", &audit(&bad, &same)).await["allowed"], true, "metadata may change");

    let mut leaving = audit_object(&bad);
    leaving["metadata"]["deletionTimestamp"] = json!("2026-11-21T01:40:00Z");
    let leaving = json!({"operation": "UPDATE", "object": leaving, "oldObject": audit_object(&block("10.0.0.0/8"))});
    assert_eq!(review("/validate", &audit(&bad, &leaving)).await["allowed"], true, "finalizers may be removed");

    let delete = json!({"operation": "DELETE", "object": null, "oldObject": audit_object(&bad)});
    assert_eq!(review("/validate", &audit(&bad, &delete)).await["allowed"], true);

    let value =
        |text: &str| json!({"podSelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": [text]}]}});
    let mut changed = value("not a label");
    changed["ingress"] = json!([]);
    let update = json!({"operation": "UPDATE", "oldObject": audit_object(&value("not a label"))});
    assert_eq!(
        review("/validate", &audit(&changed, &update)).await["allowed"],
        true,
        "upstream accepts an invalid stored selector"
    );
    assert_eq!(review("/validate", &audit(&changed, &json!({}))).await["allowed"], false);
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
async fn a_second_replica_of_the_evaluator_is_rejected() {
    let labels = json!({"app.kubernetes.io/name": "foretell-evaluator"});
    for (request, allowed) in [
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
        let response = review("/validate", &request).await;
        assert_eq!(response["allowed"], allowed, "{request}\n{response}");
        if !allowed {
            let message = response["status"]["message"].as_str().unwrap();
            assert!(message.contains("spec.replicas: Invalid value: 2: one evaluator owns the window"), "{message}");
        }
    }
}

#[tokio::test]
async fn other_kinds_are_allowed() {
    let request = with(of_kind("", "v1", "Pod", "pods"), &json!({"object": {"metadata": {"name": "p"}}}));
    assert_eq!(review("/validate", &request).await["allowed"], true);
    assert_eq!(review("/mutate", &request).await["allowed"], true);
}

#[tokio::test]
async fn an_unreadable_request_is_answered_with_its_problem() {
    let other = json!({"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}).to_string();
    let empty = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview"}).to_string();
    let partial = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {}}).to_string();
    for path in ["/validate", "/mutate"] {
        for (body, message) in [
            ("", "not JSON"),
            ("\u{0}", "not JSON"),
            ("[]", "no apiVersion and kind"),
            ("{}", "no apiVersion and kind"),
            (other.as_str(), "send an AdmissionReview of admission.k8s.io/v1"),
            (empty.as_str(), "has no request"),
            (partial.as_str(), "cannot be read: missing field `uid`"),
        ] {
            let (status, answer) = send(path, body.to_owned()).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
            assert!(answer["error"].as_str().unwrap().contains(message), "{body}: {answer}");
        }
        let (status, answer) = send(path, vec![b' '; (8 << 20) + 1]).await;
        assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
        assert!(answer["error"].as_str().unwrap().contains("more than"), "{answer}");
    }
}
