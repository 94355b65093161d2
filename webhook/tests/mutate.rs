//! Promoted policies are cleaned up.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use json_patch::Patch;
use serde_json::{Value, json};

use api_server::{of_kind, review, with};

mod api_server;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const PROMOTED_FROM: &str = "foretell.dev/promoted-from";

fn applied(api_version: &str, kind: &str) -> String {
    json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "web-audit"}, "spec": {}}).to_string()
}

fn policy(annotations: &Value) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": {"name": "web", "namespace": "shop", "annotations": annotations},
        "spec": {"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]},
    })
}

fn request(object: &Value) -> Value {
    let kind = of_kind("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies");
    with(kind, &json!({"name": "web", "namespace": "shop", "object": object}))
}

/// The object after the patch in the response.
async fn after(object: &Value, fields: &Value) -> Value {
    let response = review("/mutate", &with(request(object), fields)).await;
    assert_eq!(response["allowed"], true);
    let mut object = object.clone();
    if response["patch"] != Value::Null {
        assert_eq!(response["patchType"], "JSONPatch");
        let patch: Vec<u8> = serde_json::from_value(response["patch"].clone()).unwrap();
        let patch: Patch = serde_json::from_slice(&patch).unwrap();
        json_patch::patch(&mut object, &patch).unwrap();
    }
    object
}

#[tokio::test]
async fn the_last_applied_configuration_of_an_audit_policy_becomes_the_origin() {
    for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
        let object = policy(&json!({LAST_APPLIED: applied("kguardian.dev/v1alpha1", kind), "team": "shop"}));
        let expected = policy(&json!({PROMOTED_FROM: format!("{kind}/web-audit"), "team": "shop"}));
        for fields in [json!({}), json!({"operation": "UPDATE", "oldObject": object}), json!({"dryRun": true})] {
            let changed = after(&object, &fields).await;
            assert_eq!(changed, expected, "{fields}");
            assert_eq!(after(&changed, &fields).await, expected, "a second time changes nothing");
        }
    }
}

#[tokio::test]
async fn an_existing_origin_is_kept() {
    let record = applied("kguardian.dev/v1alpha1", "AuditNetworkPolicy");
    let object = policy(&json!({LAST_APPLIED: record, PROMOTED_FROM: "AuditClusterNetworkPolicy/all"}));
    let expected = policy(&json!({PROMOTED_FROM: "AuditClusterNetworkPolicy/all"}));
    assert_eq!(after(&object, &json!({})).await, expected);
}

#[tokio::test]
async fn the_last_applied_configuration_of_another_kind_is_removed_without_an_origin() {
    for (api_version, kind) in [
        ("extensions/v1beta1", "NetworkPolicy"),
        ("networking.k8s.io/v1", "Ingress"),
        ("other.example/v1", "AuditNetworkPolicy"),
    ] {
        let object = policy(&json!({LAST_APPLIED: applied(api_version, kind)}));
        assert_eq!(after(&object, &json!({})).await, policy(&json!({})), "{api_version} {kind}");
    }
}

#[tokio::test]
async fn all_other_objects_and_operations_are_unchanged() {
    let own = applied("networking.k8s.io/v1", "NetworkPolicy");
    for annotations in
        [Value::Null, json!({}), json!({"a": "b"}), json!({LAST_APPLIED: own}), json!({LAST_APPLIED: "no JSON"})]
    {
        let response = review("/mutate", &request(&policy(&annotations))).await;
        assert_eq!((&response["allowed"], &response["patch"]), (&json!(true), &Value::Null), "{annotations}");
    }
    let object = policy(&json!({LAST_APPLIED: applied("kguardian.dev/v1alpha1", "AuditNetworkPolicy")}));
    let delete = json!({"operation": "DELETE", "object": null, "oldObject": object});
    assert_eq!(review("/mutate", &with(request(&object), &delete)).await["patch"], Value::Null);
    let status = json!({"subResource": "status", "operation": "UPDATE"});
    assert_eq!(review("/mutate", &with(request(&object), &status)).await["patch"], Value::Null);
}
