//! The webhook, called by a real API server: through the Service of its manifests, with a certificate that the webhook created and
//! the API server trusts, and with the rights of the manifests only.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use foretell_tests::kubectl::Kubectl;
use foretell_tests::machine::root;
use foretell_tests::patience::until;
use serde_json::{Value, json};

use crate::setup::{CONFIGURATIONS, Proxy, Webhook, admitted, audit, create, enforced, installed};

mod access;
mod messages;
mod setup;

const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
const PROMOTED_FROM: &str = "foretell.dev/promoted-from";

#[test]
fn valid_policies_and_deletions_are_not_held_up() {
    let Some((control_plane, webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]});
    for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
        assert!(create(kubectl, &audit(kind, &spec)).is_success);
    }
    let patch = |patch: &Value| {
        let policy = ["patch", "auditnetworkpolicies.kguardian.dev", "web", "--namespace=shop", "--type=merge"];
        kubectl.attempt(&[&policy[..], &["--patch", &patch.to_string()]].concat())
    };
    let labelled = patch(&json!({"metadata": {"labels": {"team": "shop"}}}));
    assert!(labelled.is_success, "{}", labelled.stderr);
    let changed = patch(&json!({"spec": {"ingress": [{"ports": [{"port": 0}]}]}}));
    assert!(!changed.is_success && changed.stderr.contains("must be between 1 and 65535"), "{}", changed.stderr);

    let mut generated = audit("AuditNetworkPolicy", &spec);
    generated["metadata"] = json!({"generateName": "web-"});
    let ended = create(kubectl, &generated);
    assert!(ended.is_success, "{}", ended.stderr);
    let mut refused = audit("AuditNetworkPolicy", &spec);
    refused["metadata"]["name"] = json!("other");
    refused["spec"]["policyTypes"] = json!(["Both"]);
    let dry = ["create", "--dry-run=server", "--namespace=shop", "--filename=-"];
    let (dry, real) = (kubectl.attempt_with(&dry, &refused.to_string()), create(kubectl, &refused));
    assert_eq!((dry.is_success, &dry.stderr), (false, &real.stderr));

    // A deletion is not sent to the webhook, so it works without it.
    drop(webhook);
    kubectl.run(&["delete", "auditnetworkpolicies.kguardian.dev", "--namespace=shop", "--all"]);
}

#[test]
fn a_second_evaluator_is_rejected() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let workload = |kind: &str, replicas: i32| {
        let labels = json!({"app.kubernetes.io/name": "foretell-evaluator"});
        let pod = json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "none"}]}});
        let metadata = json!({"name": "foretell-evaluator", "namespace": "foretell", "labels": labels});
        let spec = json!({"replicas": replicas, "selector": {"matchLabels": labels}, "template": pod});
        json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": spec}).to_string()
    };
    let reason = "spec.replicas: Invalid value: 2: one evaluator owns the window of traffic";
    for kind in ["Deployment", "StatefulSet"] {
        let created = kubectl.attempt_with(&["create", "--filename=-"], &workload(kind, 2));
        assert!(!created.is_success && created.stderr.contains(reason), "{}", created.stderr);
        kubectl.apply(&workload(kind, 1));
        let changed = kubectl.attempt_with(&["apply", "--filename=-"], &workload(kind, 2));
        assert!(!changed.is_success && changed.stderr.contains(reason), "{}", changed.stderr);
        let name = format!("{kind}/foretell-evaluator");
        let scale = |replicas: &str| kubectl.attempt(&["scale", "--namespace=foretell", &name, "--replicas", replicas]);
        let scaled = scale("2");
        assert!(!scaled.is_success && scaled.stderr.contains(reason), "{}", scaled.stderr);
        assert!(scale("0").is_success && scale("1").is_success);
    }
    kubectl.run(&["create", "deployment", "many", "--image=none", "--replicas=2", "--namespace=foretell"]);
    kubectl.run(&["scale", "--namespace=foretell", "deployment/many", "--replicas=3"]);
}

/// A NetworkPolicy copied from the audit policy in the cluster.
fn promoted(kubectl: &Kubectl, name: &str) -> Value {
    let audited = kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "web", "--namespace=shop"]);
    let record = &audited["metadata"]["annotations"][LAST_APPLIED];
    assert!(record.as_str().unwrap().contains("AuditNetworkPolicy"), "{audited}");
    let mut policy = enforced(&audited["spec"]);
    policy["metadata"] = json!({"name": name, "namespace": "shop", "annotations": {LAST_APPLIED: record}});
    policy
}

#[test]
fn a_promotion_loses_the_annotation_of_the_audit_policy() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let spec = json!({"podSelector": {}, "ingress": [{"ports": [{"port": 80}]}]});
    let mut audited = audit("AuditNetworkPolicy", &spec);
    audited["metadata"]["namespace"] = json!("shop");
    kubectl.apply(&audited.to_string());
    let stored =
        |name: &str| kubectl.json(&["get", "networkpolicy", name, "--namespace=shop", "--show-managed-fields"]);
    let assert_tidy = |name: &str| {
        let policy = stored(name);
        assert_eq!(policy["metadata"]["annotations"], json!({PROMOTED_FROM: "AuditNetworkPolicy/web"}), "{policy}");
        policy
    };
    let succeeds = |arguments: &[&str], policy: &Value| {
        let ended = kubectl.attempt_with(arguments, &policy.to_string());
        assert!(ended.is_success, "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };

    // As clients other than kubectl do it. kubectl writes its own last-applied annotation, as below.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies";
    succeeds(&["create", all, "--filename=-"], &promoted(kubectl, "created"));
    assert_tidy("created");
    succeeds(&["replace", &format!("{all}/created"), "--filename=-"], &promoted(kubectl, "created"));
    assert_tidy("created");

    let (applied, proxy) = (promoted(kubectl, "applied"), Proxy::start(kubectl));
    let path = "/apis/networking.k8s.io/v1/namespaces/shop/networkpolicies/applied?fieldManager=gitops&force=true";
    proxy.apply(path, &applied);
    let first = assert_tidy("applied");
    proxy.apply(path, &applied);
    assert_eq!(stored("applied")["metadata"], first["metadata"], "a second apply changes nothing");
    assert_eq!(first["spec"]["ingress"], json!([{"ports": [{"port": 80, "protocol": "TCP"}]}]), "the API server's own");

    for (how, name) in [
        (["create", "--validate"], "by-create"),
        (["apply", "--validate"], "by-apply"),
        (["apply", "--server-side"], "by-server"),
    ] {
        let policy = promoted(kubectl, name);
        succeeds(&[&how[..], &["--filename=-"]].concat(), &policy);
        let metadata = stored(name)["metadata"].clone();
        let record = metadata["annotations"][LAST_APPLIED].as_str().unwrap();
        assert!(record.contains("\"kind\":\"NetworkPolicy\""), "{record}");
        succeeds(&["apply", "--server-side", "--force-conflicts", "--filename=-"], &policy);
        let before = stored(name);
        succeeds(&["apply", "--server-side", "--filename=-"], &policy);
        assert_eq!(stored(name)["metadata"], before["metadata"], "a second apply changes nothing");
    }
}

#[test]
fn it_waits_for_missing_objects_and_continues_without_a_restart() {
    let Some(control_plane) = installed() else { return };
    let kubectl = control_plane.kubectl();
    let manifests = root().join("manifests/webhook");
    let apply = |file: &str| kubectl.run(&["apply", "--filename", manifests.join(file).to_str().unwrap()]);
    kubectl.run(&["delete", "--filename", manifests.join("configurations.yaml").to_str().unwrap()]);
    kubectl.run(&["delete", "--filename", manifests.join("secret.yaml").to_str().unwrap()]);

    let webhook = Webhook::start(kubectl);
    webhook.wait_until_it_says("Waiting for the certificate: Secret foretell/foretell-webhook-tls: ");
    apply("secret.yaml");
    webhook.wait_until_it_says("Waiting for its webhook configurations: no webhook configuration named foretell");
    apply("configurations.yaml");
    webhook.wait_until_it_says("No longer waiting for its webhook configurations");
    for configuration in CONFIGURATIONS {
        let webhooks = kubectl.json(&["get", configuration])["webhooks"].clone();
        let trusting =
            webhooks.as_array().unwrap().iter().filter(|entry| entry["clientConfig"]["caBundle"].is_string());
        assert_eq!(trusting.count(), webhooks.as_array().unwrap().len());
    }
}

#[test]
fn a_certificate_that_is_deleted_is_replaced() {
    let Some((control_plane, webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let bundles = || {
        CONFIGURATIONS.map(|configuration| {
            kubectl.json(&["get", configuration])["webhooks"][0]["clientConfig"]["caBundle"].clone()
        })
    };
    let former = bundles();
    let patch = r#"[{"op": "remove", "path": "/data"}]"#;
    kubectl.run(&["patch", "secret", "--namespace=foretell", "foretell-webhook-tls", "--type=json", "--patch", patch]);
    // The webhook reads the Secret once a minute.
    until("the webhook uses another certificate", || {
        let shown = webhook.output().matches("Uses the certificate of the Secret").count();
        if shown == 2 { Ok(()) } else { Err(webhook.output()) }
    });
    let renewed = bundles();
    assert!(renewed[0] == renewed[1] && renewed != former, "{former:?}\n{renewed:?}");
    let spec = json!({"podSelector": {}, "ingress": [{"from": [{}]}]});
    until("the API server trusts it", || {
        let message = create(kubectl, &audit("AuditNetworkPolicy", &spec)).stderr;
        if message.contains("must specify a peer") { Ok(()) } else { Err(message) }
    });
}
