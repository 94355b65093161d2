//! Messages for invalid policies: they are those of the API server.

use serde_json::{Value, json};

use crate::setup::{admitted, audit, create, enforced};

/// Specs that no API server accepts, each for another reason.
fn bad_specs() -> Vec<Value> {
    let select = |requirement: &Value| json!({"podSelector": {"matchExpressions": [requirement]}});
    let from = |peer: &Value| json!({"podSelector": {}, "ingress": [{"from": [peer]}]});
    let to = |peer: &Value| json!({"podSelector": {}, "egress": [{}, {"to": [{"podSelector": {}}, peer]}]});
    let port = |port: &Value| json!({"podSelector": {}, "ingress": [{"ports": [port]}]});
    let block = |cidr: &str, except: &Value| json!({"ipBlock": {"cidr": cidr, "except": except}});
    vec![
        from(&block("10.0.0.0/33", &json!([]))),
        from(&block("10.0.0.0", &json!([]))),
        from(&block("", &json!([]))),
        to(&block("what \"is\" this\t\\", &json!([]))),
        from(&block("10.1.2.3/8", &json!([]))),
        from(&block("010.0.0.0/8", &json!([]))),
        to(&block("::ffff:10.0.0.0/104", &json!([]))),
        from(&block("10.0.0.0/8", &json!(["11.0.0.0/16"]))),
        from(&block("10.0.0.0/8", &json!(["10.0.0.0/8"]))),
        from(&block("10.0.0.0/8", &json!(["10.1.0.0/16", "10.300.0.0/16"]))),
        from(&json!({})),
        from(&json!({"podSelector": {}, "ipBlock": {"cidr": "10.0.0.0/8"}})),
        port(&json!({"port": 0})),
        port(&json!({"port": 65536, "protocol": "UDP"})),
        port(&json!({"port": "Not_A_Port"})),
        port(&json!({"port": "80"})),
        port(&json!({"port": "a--very-long-port-name-"})),
        port(&json!({"port": 8080, "endPort": 80})),
        port(&json!({"port": "http", "endPort": 8080})),
        port(&json!({"endPort": 8080})),
        port(&json!({"port": 80, "protocol": "ICMP"})),
        json!({"podSelector": {}, "policyTypes": ["ingress"]}),
        json!({"podSelector": {"matchLabels": {"-a": "b"}}}),
        json!({"podSelector": {"matchLabels": {"a": "b c"}}}),
        json!({"podSelector": {"matchLabels": {"a/b/c": "d"}}}),
        json!({"podSelector": {"matchLabels": {"/b": "d"}}}),
        json!({"podSelector": {"matchLabels": {"A_B/": "d"}}}),
        json!({"podSelector": {"matchLabels": {"a".repeat(64): "b".repeat(64)}}}),
        select(&json!({"key": "a", "operator": "In"})),
        select(&json!({"key": "a", "operator": "NotIn", "values": []})),
        select(&json!({"key": "a", "operator": "Exists", "values": ["b"]})),
        select(&json!({"key": "a b", "operator": "In", "values": ["ok", "not ok"]})),
        from(&json!({"namespaceSelector": {"matchExpressions": [{"key": "", "operator": "Exists"}]}})),
        to(&block("10.1.2.3/8", &json!(["10.1.2.3/16", "10.0.0.0/8"]))),
        json!({"podSelector": {}, "ingress": [{"from": [{}], "ports": [{"port": 0}, {"port": 80, "endPort": 8}]}]}),
    ]
}

/// Specs that the schema of the CRD rejects before the webhook is called: the fault names the field, its text differs.
fn bad_by_schema() -> Vec<(Value, &'static str)> {
    let operator = json!({"key": "a", "operator": "Is", "values": ["b"]});
    let port = json!({"port": 8080, "endPort": 70000});
    vec![
        (json!({"podSelector": {"matchExpressions": [operator]}}), "spec.podSelector.matchExpressions[0].operator: "),
        (
            json!({"podSelector": {}, "ingress": [{"ports": [port]}]}),
            "spec.ingress[0].ports[0].endPort: Invalid value: 70000: ",
        ),
        (json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress", "Ingress"]}), "spec.policyTypes: "),
    ]
}

/// The faults in a message of kubectl, sorted, without its first words, which name the kind.
fn faults(message: &str) -> Vec<String> {
    let list = message.split_once("is invalid: ").unwrap_or_else(|| panic!("{message}")).1;
    let mut faults: Vec<String> = list.split("\n* ").map(|line| line.trim().to_owned()).collect();
    faults.retain(|line| !line.is_empty());
    faults.sort();
    faults
}

#[test]
fn invalid_audit_policies_get_the_messages_that_network_policies_get() {
    let Some((control_plane, _webhook)) = admitted() else { return };
    let kubectl = control_plane.kubectl();
    let mut differing = Vec::new();
    for spec in bad_specs() {
        let upstream = create(kubectl, &enforced(&spec)).stderr;
        for kind in ["AuditNetworkPolicy", "AuditClusterNetworkPolicy"] {
            let ours = create(kubectl, &audit(kind, &spec)).stderr;
            if faults(&upstream) != faults(&ours) {
                differing.push(format!("{spec}\n  upstream: {upstream}\n  ours: {ours}"));
            }
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    for (spec, field) in bad_by_schema() {
        let [upstream, ours] =
            [enforced(&spec), audit("AuditNetworkPolicy", &spec)].map(|object| create(kubectl, &object));
        assert!(upstream.stderr.contains(field) && ours.stderr.contains(field), "{}{}", upstream.stderr, ours.stderr);
    }
}
