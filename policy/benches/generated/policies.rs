//! The policies as objects.

use serde_json::{Value, json};

use super::Size;
use super::landscape::{App, ENVIRONMENTS, Landscape, Namespace, TEAMS, TIERS};
use super::numbers::Numbers;

pub(super) fn of(size: &Size, landscape: &Landscape, numbers: &mut Numbers) -> Vec<Value> {
    let mut policies: Vec<Value> = (0..size.cluster_policies).map(|index| cluster_wide(size, index)).collect();
    let count = size.policies - size.cluster_policies;
    for (index, namespace) in landscape.namespaces.iter().enumerate() {
        let namespaces = landscape.namespaces.len();
        let share = count * (index + 1) / namespaces - count * index / namespaces;
        let wide = [deny_by_default(), dns(), scrapes()];
        let mut specs: Vec<(String, Value)> = wide.into_iter().take(share).collect();
        for (app, ingress) in namespace.apps.iter().flat_map(|app| [(*app, true), (*app, false)]) {
            let app = &landscape.apps[app];
            let (name, spec) = if ingress {
                (format!("{}-callers", app.name), callers(landscape, namespace, app, numbers))
            } else {
                (format!("{}-calls", app.name), calls(landscape, app, numbers))
            };
            specs.push((name, spec));
        }
        let mut extra = 0;
        while specs.len() < share {
            let tier = TIERS[extra % TIERS.len()];
            specs.push((format!("{tier}-{extra}"), of_tier(tier, extra)));
            extra += 1;
        }
        specs.truncate(share);
        policies.extend(specs.into_iter().map(|(name, spec)| {
            json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
                "metadata": {"name": name, "namespace": namespace.name}, "spec": spec})
        }));
    }
    policies
}

fn app(name: &str) -> Value {
    json!({"matchLabels": {"app.kubernetes.io/name": name}})
}

fn namespace(name: &str) -> Value {
    json!({"matchLabels": {"kubernetes.io/metadata.name": name}})
}

fn deny_by_default() -> (String, Value) {
    ("deny-by-default".to_owned(), json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}))
}

fn dns() -> (String, Value) {
    let spec = json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
        {"to": [{"namespaceSelector": namespace("kube-system"), "podSelector": app("kube-dns")}],
            "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}]}]});
    ("dns".to_owned(), spec)
}

fn scrapes() -> (String, Value) {
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress"], "ingress": [
        {"from": [{"namespaceSelector": namespace("monitoring"), "podSelector": app("prometheus")}],
            "ports": [{"port": "metrics"}]}]});
    ("scrapes".to_owned(), spec)
}

fn callers(landscape: &Landscape, own: &Namespace, callee: &App, numbers: &mut Numbers) -> Value {
    let index = landscape.apps.iter().position(|it| std::ptr::eq(it, callee)).unwrap();
    let mut local = Vec::new();
    let mut remote = Vec::new();
    for caller in landscape.apps.iter().filter(|it| it.calls.contains(&index)) {
        // One caller in ten was forgotten.
        if numbers.percent(10) {
            continue;
        }
        if caller.namespace == callee.namespace {
            local.push(json!({"podSelector": app(&caller.name)}));
        } else {
            let of = &landscape.namespaces[caller.namespace].name;
            remote.push(json!({"namespaceSelector": namespace(of), "podSelector": app(&caller.name)}));
        }
    }
    let port = if numbers.percent(60) { json!({"port": callee.port.0}) } else { json!({"port": callee.port.1}) };
    let mut rules = Vec::new();
    if !local.is_empty() {
        rules.push(json!({"from": local, "ports": [port]}));
    }
    if !remote.is_empty() {
        rules.push(json!({"from": remote, "ports": [port, {"port": 8000, "endPort": 8100}]}));
    }
    if callee.tier == "frontend" {
        rules.push(json!({"from": [{"namespaceSelector": namespace("ingress"), "podSelector": app("controller")}],
            "ports": [port]}));
    }
    if numbers.percent(30) {
        rules.push(json!({"from": [{"namespaceSelector": {"matchLabels": {"team": format!("team-{}", own.team)}},
            "podSelector": {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["frontend", "backend"]}]}}]}));
    }
    if numbers.percent(10) {
        let block = *numbers.pick(&["203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24"]);
        let except = block.replace(".0/24", ".128/25");
        rules.push(json!({"from": [{"ipBlock": {"cidr": block, "except": [except]}}]}));
    }
    json!({"podSelector": app(&callee.name), "policyTypes": ["Ingress"], "ingress": rules})
}

fn calls(landscape: &Landscape, caller: &App, numbers: &mut Numbers) -> Value {
    let mut rules: Vec<Value> = Vec::new();
    for callee in caller.calls.iter().map(|index| &landscape.apps[*index]) {
        let to = if callee.namespace == caller.namespace {
            json!({"podSelector": app(&callee.name)})
        } else {
            let of = &landscape.namespaces[callee.namespace].name;
            json!({"namespaceSelector": namespace(of), "podSelector": app(&callee.name)})
        };
        rules.push(json!({"to": [to], "ports": [{"port": callee.port.0}]}));
    }
    if numbers.percent(20) {
        rules.push(json!({"to": [{"ipBlock": {"cidr": "0.0.0.0/0",
            "except": ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]}}, {"ipBlock": {"cidr": "2001:db8::/32"}}],
            "ports": [{"port": 443}]}));
    }
    json!({"podSelector": app(&caller.name), "policyTypes": ["Egress"], "egress": rules})
}

fn of_tier(tier: &str, number: usize) -> Value {
    let pods = json!({"matchLabels": {"tier": tier}});
    if number.is_multiple_of(2) {
        json!({"podSelector": pods, "policyTypes": ["Ingress"], "ingress": [
            {"from": [{"podSelector": {}}], "ports": [{"port": "http"}, {"port": "grpc"}]}]})
    } else {
        json!({"podSelector": pods, "policyTypes": ["Egress"], "egress": [
            {"to": [{"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["jobs"]}]}}]}]})
    }
}

fn cluster_wide(size: &Size, index: usize) -> Value {
    let (name, selector, spec) = if index < size.for_everyone {
        for_everyone(index)
    } else {
        let index = index - size.for_everyone;
        let environments = ENVIRONMENTS.len();
        if index < environments {
            of_environment(ENVIRONMENTS[index])
        } else if index < environments + 2 * TEAMS {
            of_team((index - environments) / 2, index.is_multiple_of(2))
        } else {
            for_a_few(index)
        }
    };
    let mut object = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditClusterNetworkPolicy",
        "metadata": {"name": name}, "spec": spec});
    object["spec"]["namespaceSelector"] = selector;
    object
}

type ClusterPolicy = (String, Value, Value);

fn for_everyone(index: usize) -> ClusterPolicy {
    let spec = match index {
        0 => json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.169.254/32"]}},
                {"ipBlock": {"cidr": "::/0", "except": ["fd00:ec2::254/128"]}}]}]}),
        1 => json!({"podSelector": {}, "ingress": [
            {"from": [{"namespaceSelector": {}}]},
            {"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}, {"ipBlock": {"cidr": "192.168.0.0/16"}},
                {"ipBlock": {"cidr": "fd00::/8"}}]}]}),
        2 => json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}}]}, {"from": [{"namespaceSelector": namespace("monitoring")}],
                "ports": [{"port": "metrics"}]}, {"from": [{"namespaceSelector": namespace("ingress")}]}],
            "egress": [{"to": [{"podSelector": {}}]}, {"to": [{"namespaceSelector": namespace("kube-system")}],
                "ports": [{"protocol": "UDP", "port": 53}, {"port": 53}]}]}),
        3 => json!({"podSelector": {}, "ingress": [{"ports": [{"port": 1024, "endPort": 65535}]},
            {"ports": [{"protocol": "UDP"}]}]}),
        4 => json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {"matchExpressions": [{"key": "team", "operator": "Exists"}]}}]},
            {"ports": [{"port": 443}, {"port": 53, "protocol": "UDP"}]}]}),
        5 => json!({"podSelector": {"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["jobs"]}]},
            "ingress": [{"from": [{"namespaceSelector": {"matchExpressions":
                [{"key": "environment", "operator": "In", "values": ["prod", "staging"]}]}}]}]}),
        6 => json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": {}, "podSelector": {"matchExpressions":
                [{"key": "tier", "operator": "NotIn", "values": ["data"]}]}}]}, {"to": [{"podSelector": {}}]}]}),
        7 => json!({"podSelector": {}, "ingress": [{"from": [{"podSelector": {}}]},
            {"from": [{"namespaceSelector": {}}], "ports": [{"port": "http"}, {"port": "grpc"}, {"port": "metrics"}]}]}),
        8 => {
            let known =
                json!({"namespaceSelector": {"matchExpressions": [{"key": "environment", "operator": "Exists"}]}});
            json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [known, {"ipBlock": {"cidr": "192.168.0.0/16"}}, {"ipBlock": {"cidr": "fd00::/8"}}]}],
                "egress": [{"to": [known]}, {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]})
        }
        _ => json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"ports": [{"protocol": "TCP"}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}],
            "egress": [{"ports": [{"protocol": "TCP"}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}]}),
    };
    (format!("everyone-{index}"), json!({}), spec)
}

fn of_environment(environment: &str) -> ClusterPolicy {
    let own = json!({"matchLabels": {"environment": environment}});
    let spec = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"],
        "ingress": [{"from": [{"namespaceSelector": own}]}, {"from": [{"namespaceSelector": namespace("ingress")}]},
            {"from": [{"namespaceSelector": namespace("monitoring")}]}],
        "egress": [{"to": [{"namespaceSelector": own}]}, {"to": [{"namespaceSelector": namespace("kube-system")}]},
            {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8"]}}]}]});
    (format!("environment-{environment}"), own, spec)
}

fn of_team(team: usize, ingress: bool) -> ClusterPolicy {
    let own = json!({"matchLabels": {"team": format!("team-{team}")}});
    let next = json!({"matchLabels": {"team": format!("team-{}", (team + 1) % TEAMS)}});
    let spec = if ingress {
        json!({"podSelector": {}, "ingress": [{"from": [{"namespaceSelector": own}, {"namespaceSelector": next}]},
            {"from": [{"namespaceSelector": namespace("ingress")}], "ports": [{"port": "http"}]}]})
    } else {
        json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
            {"to": [{"namespaceSelector": own}, {"namespaceSelector": next}]},
            {"to": [{"ipBlock": {"cidr": format!("198.51.100.{}/28", team * 8 / 16 * 16)}}], "ports": [{"port": 443}]}]})
    };
    (format!("team-{team}-{}", if ingress { "ingress" } else { "egress" }), own, spec)
}

fn for_a_few(index: usize) -> ClusterPolicy {
    let teams: Vec<String> = (0..3).map(|step| format!("team-{}", (index * 7 + step) % TEAMS)).collect();
    let selector = json!({"matchExpressions": [{"key": "team", "operator": "In", "values": teams}]});
    let pods = json!({"matchLabels": {"tier": TIERS[index % TIERS.len()]}});
    let port = 5000 + index * 10;
    let spec = if index.is_multiple_of(2) {
        json!({"podSelector": pods, "ingress": [{"from": [{"podSelector": {"matchLabels": {"tier": "backend"}}}]},
            {"from": [{"namespaceSelector": selector}], "ports": [{"port": port, "endPort": port + 9}]}]})
    } else {
        json!({"podSelector": pods, "policyTypes": ["Egress"], "egress": [{"to": [{"namespaceSelector": selector}]},
            {"to": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.64/26"]}}]}]})
    };
    (format!("few-{index}"), selector, spec)
}
