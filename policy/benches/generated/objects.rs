//! The cluster as objects.

use serde_json::{Value, json};

use super::landscape::{Addresses, App, Landscape, node_address};

pub(super) fn of(landscape: &Landscape) -> Vec<Value> {
    let mut objects = Vec::new();
    for (index, namespace) in landscape.namespaces.iter().enumerate() {
        let mut labels = json!({"team": format!("team-{}", namespace.team), "environment": namespace.environment});
        if index % 8 == 3 {
            labels["compliance"] = json!("pci");
        }
        objects.push(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": namespace.name, "labels": labels}}));
    }
    for node in 0..landscape.nodes {
        let addresses: Vec<Value> = texts(&node_address(node))
            .into_iter()
            .map(|address| json!({"type": "InternalIP", "address": address}))
            .collect();
        objects.push(json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{node}")},
            "spec": {"podCIDRs": [format!("10.{}.{}.0/24", 1 + node / 256, node % 256), format!("fd00:10:0:{node:x}::/64")]},
            "status": {"addresses": addresses}}));
    }
    for app in &landscape.apps {
        let namespace = &landscape.namespaces[app.namespace].name;
        objects.push(json!({"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": app.name, "namespace": namespace},
            "spec": {"clusterIP": app.service.v4, "clusterIPs": texts(&app.service),
                "selector": {"app.kubernetes.io/name": app.name},
                "ports": [{"name": app.port.0, "port": 80, "targetPort": app.port.0}]}}));
        objects.extend((0..app.pods.len()).map(|index| pod(namespace, app, index)));
    }
    objects
}

pub(super) fn texts(addresses: &Addresses) -> Vec<String> {
    [Some(addresses.v4), addresses.v6].into_iter().flatten().map(|ip| ip.to_string()).collect()
}

fn pod(namespace: &str, app: &App, index: usize) -> Value {
    let site = &app.pods[index];
    let mut labels = json!({
        "app.kubernetes.io/name": app.name,
        "app.kubernetes.io/instance": format!("{namespace}-{}", app.name),
        "app.kubernetes.io/part-of": namespace,
        "tier": app.tier,
    });
    let (kind, owner, name) = if app.stateful {
        let name = format!("{}-{index}", app.name);
        labels["statefulset.kubernetes.io/pod-name"] = json!(name);
        labels["apps.kubernetes.io/pod-index"] = json!(index.to_string());
        ("StatefulSet", app.name.clone(), name)
    } else {
        labels["pod-template-hash"] = json!("6d4cf5d7b9");
        ("ReplicaSet", format!("{}-6d4cf5d7b9", app.name), format!("{}-6d4cf5d7b9-{index:05}", app.name))
    };
    let ips: Vec<Value> = texts(&site.addresses).into_iter().map(|ip| json!({"ip": ip})).collect();
    let node = format!("node-{}", site.node);
    json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "uid": format!("{namespace}/{name}"), "labels": labels,
            "ownerReferences": [{"apiVersion": "apps/v1", "kind": kind, "controller": true, "name": owner, "uid": "u"}]},
        "spec": {"nodeName": node, "containers": [{"name": "app", "image": "app", "ports": [
            {"name": app.port.0, "containerPort": app.port.1}, {"name": "metrics", "containerPort": app.metrics},
            {"name": "dns", "containerPort": 53, "protocol": "UDP"}]}]},
        "status": {"phase": "Running", "podIP": site.addresses.v4, "podIPs": ips,
            "hostIP": node_address(site.node).v4, "startTime": "2026-11-01T00:00:00Z"}})
}
