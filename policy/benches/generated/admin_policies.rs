//! Admin policies as objects, in the order in which they are evaluated.

use serde_json::{Value, json};

use super::landscape::{ENVIRONMENTS, TEAMS, TIERS};

/// This many admin policies, half of them in the tier before NetworkPolicies and half after.
pub(super) fn of(count: usize) -> Vec<Value> {
    (0..count).map(|index| policy(index, if index.is_multiple_of(2) { "Admin" } else { "Baseline" })).collect()
}

fn policy(index: usize, tier: &str) -> Value {
    let (subject, ingress, egress) = match index / 2 % 4 {
        0 => for_everyone(),
        1 => of_environment(ENVIRONMENTS[index % ENVIRONMENTS.len()]),
        2 => of_team(index % TEAMS),
        _ => of_role(TIERS[index % TIERS.len()]),
    };
    json!({"apiVersion": "policy.networking.k8s.io/v1alpha2", "kind": "ClusterNetworkPolicy",
        "metadata": {"name": format!("{}-{index}", tier.to_lowercase())},
        "spec": {"tier": tier, "priority": index, "subject": subject, "ingress": ingress, "egress": egress}})
}

type Parts = (Value, Value, Value);

fn namespaces(key: &str, value: &str) -> Value {
    json!({"namespaces": {"matchLabels": {key: value}}})
}

fn named(name: &str) -> Value {
    namespaces("kubernetes.io/metadata.name", name)
}

fn tcp(port: u16) -> Value {
    json!({"tcp": {"destinationPort": {"number": port}}})
}

fn for_everyone() -> Parts {
    let dns = [tcp(53), json!({"udp": {"destinationPort": {"number": 53}}})];
    (
        json!({"namespaces": {}}),
        json!([{"action": "Accept", "from": [named("monitoring")], "protocols": [{"destinationNamedPort": "metrics"}]},
            {"action": "Pass", "from": [named("ingress")]}]),
        json!([{"action": "Accept", "to": [named("kube-system")], "protocols": dns},
            {"action": "Deny", "to": [{"networks": ["169.254.169.254/32", "fd00:ec2::254/128"]}]}]),
    )
}

fn of_environment(environment: &str) -> Parts {
    let own = namespaces("environment", environment);
    let others = json!({"namespaces": {"matchExpressions":
        [{"key": "environment", "operator": "NotIn", "values": [environment]}]}});
    (
        own.clone(),
        json!([{"action": "Pass", "from": [own, named("ingress"), named("monitoring")]},
            {"action": "Deny", "from": [others]}]),
        json!([]),
    )
}

fn of_team(team: usize) -> Parts {
    let own = namespaces("team", &format!("team-{team}"));
    let next = namespaces("team", &format!("team-{}", (team + 1) % TEAMS));
    (
        own.clone(),
        json!([{"action": "Pass", "from": [own, next]}]),
        json!([{"action": "Pass", "to": [{"networks": ["10.0.0.0/8", "fd00::/8"]}]},
            {"action": "Deny", "to": [{"networks": ["0.0.0.0/0", "::/0"]}], "protocols": [tcp(25)]}]),
    )
}

fn of_role(role: &str) -> Parts {
    let pods =
        |value: &str| json!({"pods": {"namespaceSelector": {}, "podSelector": {"matchLabels": {"tier": value}}}});
    (
        pods(role),
        json!([{"action": "Deny", "from": [pods("jobs")],
            "protocols": [{"tcp": {"destinationPort": {"range": {"start": 1, "end": 1023}}}}]}]),
        json!([]),
    )
}
